"""The style of every page: narrow and wide, light and dark, screen and paper.

The colours of series are those of Okabe and Ito, which people who are red-green colour-blind can
tell apart; on dark ground they are lighter. Series also differ by the shape of their points.
"""

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1d2227;--dim:#5b6570;--rule:#e3e7eb;--box:#f4f6f8;
--link:#0062a3;--good:#00714b;--bad:#b3261e;--warn:#8a5a00;
--s0:#1d2227;--s1:#0072b2;--s2:#d55e00;--s3:#009e73;--s4:#cc79a7;--s5:#e69f00;--s6:#56b4e9;
--s7:#808890}
@media screen and (prefers-color-scheme:dark){:root{--bg:#14181c;--fg:#e4e8ec;--dim:#9aa5b0;
--rule:#2c343c;--box:#1d2329;--link:#6cb8f0;--good:#4fd1a1;--bad:#ff8a80;--warn:#f0b95a;
--s0:#e4e8ec;--s1:#3f9fe0;--s2:#f08030;--s3:#2fc498;--s4:#e29ac3;--s5:#f0b93a;--s6:#9ad6ff;
--s7:#98a2ac}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;
color:var(--fg);background:var(--bg);max-width:72rem;margin:0 auto;padding:1.6rem 1.2rem 4rem;
font-variant-numeric:tabular-nums;overflow-wrap:break-word}
h1{font-size:1.65rem;line-height:1.25;margin:0 0 .3rem;text-wrap:balance}
h2{font-size:1.3rem;line-height:1.3;margin:2.4rem 0 .5rem;padding-top:.9rem;
border-top:2px solid var(--fg)}
h3{font-size:1.02rem;margin:1.9rem 0 .5rem}
p,ul,dl{margin:.5rem 0}p,li{max-width:46rem}ul{padding-left:1.2rem}
ul.plain{list-style:none;padding:0;font-size:.88rem}ul.plain li{margin:.3rem 0}
a{color:var(--link)}
.about{color:var(--dim);margin:0 0 .4rem}
.lead{font-size:1.08rem;background:var(--box);border-left:4px solid var(--s1);
padding:.6rem .9rem;margin:.8rem 0;max-width:none}
.lead.good{border-color:var(--good)}.lead.bad{border-color:var(--bad)}
.warn{background:var(--box);border-left:4px solid var(--s5);padding:.45rem .9rem;max-width:none}
.valid{color:var(--good);font-weight:600}.invalid{color:var(--bad);font-weight:600}
pre{background:var(--box);padding:.55rem .8rem;white-space:pre-wrap;overflow-wrap:anywhere;
font-size:.84rem;margin:.6rem 0;
border-radius:4px}
code{font-family:ui-monospace,SFMono-Regular,Menlo,"Liberation Mono",monospace}
.wide{overflow-x:auto;margin:.5rem 0 1rem;max-width:100%}
table{border-collapse:collapse;font-size:.85rem;line-height:1.4}
th,td{padding:.24rem .7rem;text-align:right;border-bottom:1px solid var(--rule);
white-space:nowrap;vertical-align:top}
thead th{border-bottom:1.5px solid var(--dim);color:var(--dim);font-weight:600;
vertical-align:bottom}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--bg);
padding-left:0}
td.text,th.text{text-align:left}
td.long{white-space:normal;min-width:17rem;max-width:34rem}
tbody tr:hover td{background:var(--box)}
.meter{display:inline-block;height:.7rem;background:var(--s1);border-radius:2px;min-width:1px}
td.meters{text-align:left;width:14rem;min-width:9rem}
dl.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));
gap:.1rem 1.6rem;font-size:.87rem}
dl.facts div{display:flex;gap:.6rem;justify-content:space-between;padding:.16rem 0;
border-bottom:1px solid var(--rule)}
dl.facts dt{color:var(--dim);flex:none;max-width:50%}
dl.facts dd{margin:0;text-align:right;overflow-wrap:anywhere}
dl.facts div.wordy{grid-column:1/-1;justify-content:start}dl.facts .wordy dd{text-align:left}
dd small{color:var(--dim);display:block;font-size:.8em}
nav ul{columns:17rem;padding-left:1.1rem;font-size:.92rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(27rem,100%),1fr));
gap:1.4rem 2rem;margin:.8rem 0}
figure{margin:0;min-width:0;break-inside:avoid}
figure svg:not(.swatch){display:block;width:100%;max-width:40rem;height:auto;overflow:visible}
.title{font-weight:600;margin:0 0 .15rem}
figcaption{font-size:.84rem;color:var(--dim);margin-top:.2rem;max-width:38rem}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.05rem 1rem;padding:0;margin:.1rem 0;
font-size:.84rem}
.legend li{display:flex;align-items:center;gap:.35rem}
.swatch{width:22px;height:12px;flex:none}
svg text{font-size:11px;fill:var(--dim);paint-order:stroke;stroke:var(--bg);
stroke-width:3px;stroke-linejoin:round}
svg text.label,svg text.word{fill:var(--fg)}
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}
.s5{--c:var(--s5)}.s6{--c:var(--s6)}.s7{--c:var(--s7)}
.over{--c:var(--s0)}
.grid{stroke:var(--rule);fill:none}.axis{stroke:var(--dim);fill:none}
.line{stroke:var(--c);stroke-width:2;fill:none;stroke-linejoin:round}.thin{stroke-width:1}
.dashed{stroke-dasharray:6 4}.dot{fill:var(--c);stroke:var(--bg);stroke-width:1}
.bar{fill:var(--c);stroke:var(--bg);stroke-width:.6}
.cell{fill:var(--s1);stroke:var(--dim);stroke-width:.5}
path.limit{stroke:var(--bad);stroke-dasharray:4 3}path.note{stroke:var(--dim);stroke-dasharray:4 3}
svg text.limit{fill:var(--bad)}
.ring{fill:none;stroke:var(--bad);stroke-width:2}
footer{margin-top:3rem;color:var(--dim);font-size:.82rem}
@media(max-width:560px){body{padding:1rem .8rem 3rem;font-size:15px}h1{font-size:1.35rem}
h2{font-size:1.15rem}svg text{font-size:14px}dl.facts{grid-template-columns:1fr}
th,td{padding:.24rem .5rem}td:first-child{white-space:normal;min-width:5.5rem}
td.meters{width:4.5rem;min-width:4.5rem}}
@media print{body{max-width:none;padding:0;font-size:10pt}.wide{overflow:visible}
table{font-size:7.5pt}th,td{padding:.1rem .3rem;white-space:normal}td.long{min-width:9rem}
.charts{grid-template-columns:1fr 1fr;gap:1rem}h2,h3,.title{break-after:avoid}
tr,.lead,.warn{break-inside:avoid}nav{display:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
