"""The device function that makes a picture smaller, as PTX; see backends.cuda.ptx.

Each pixel is the mean of the area that it covers. In CUDA C++ it is

    void shrink(uint8_t* from, unsigned width, unsigned height, uint8_t* to, unsigned columns,
                unsigned rows)
    {
        unsigned k = blockIdx.x * blockDim.x + threadIdx.x;  // the pixel that this thread makes
        if (k >= columns * rows) return;
        float across = (float)width / columns, down = (float)height / rows;
        float left = k % columns * across, right = left + across, sum[3] = {};
        float top = k / columns * down, bottom = top + down;
        for (unsigned y = top; y < min((unsigned)ceil(bottom), height); y++) {
            float part = min(y + 1.f, bottom) - max((float)y, top);
            for (unsigned x = left; x < min((unsigned)ceil(right), width); x++) {
                float weight = (min(x + 1.f, right) - max((float)x, left)) * part;
                uint8_t* at = from + 3 * ((size_t)y * width + x);
                for (int c = 0; c < 3; c++) sum[c] += weight * at[c];
            }
        }
        for (int c = 0; c < 3; c++)
            to[3 * k + c] = min(255u, (unsigned)rint(sum[c] / (across * down)));
    }
"""

SHRINK = b"""
.version 7.0
.target sm_75
.address_size 64

.visible .entry shrink(
    .param .u64 p_from,
    .param .u32 p_width,
    .param .u32 p_height,
    .param .u64 p_to,
    .param .u32 p_columns,
    .param .u32 p_rows
)
.maxntid 512, 1, 1
{
    .reg .pred %p;
    .reg .b32 %width, %height, %columns, %rows, %k, %x, %y, %first, %end_x, %end_y, %byte;
    .reg .f32 %across, %down, %left, %right, %top, %bottom, %low, %high, %part, %weight, %f;
    .reg .f32 %red, %green, %blue;
    .reg .b64 %from, %to, %at, %offset;

    ld.param.u64 %from, [p_from];
    ld.param.u32 %width, [p_width];
    ld.param.u32 %height, [p_height];
    ld.param.u64 %to, [p_to];
    ld.param.u32 %columns, [p_columns];
    ld.param.u32 %rows, [p_rows];
    cvta.to.global.u64 %from, %from;
    cvta.to.global.u64 %to, %to;

    mov.u32 %k, %ctaid.x;
    mov.u32 %x, %ntid.x;
    mov.u32 %y, %tid.x;
    mad.lo.u32 %k, %k, %x, %y;
    mul.lo.u32 %x, %columns, %rows;
    setp.ge.u32 %p, %k, %x;
    @%p bra LAST;

    cvt.rn.f32.u32 %across, %width;
    cvt.rn.f32.u32 %f, %columns;
    div.rn.f32 %across, %across, %f;
    rem.u32 %x, %k, %columns;
    cvt.rn.f32.u32 %f, %x;
    mul.rn.f32 %left, %f, %across;
    add.rn.f32 %right, %left, %across;
    cvt.rzi.u32.f32 %first, %left;
    cvt.rpi.u32.f32 %end_x, %right;
    min.u32 %end_x, %end_x, %width;

    cvt.rn.f32.u32 %down, %height;
    cvt.rn.f32.u32 %f, %rows;
    div.rn.f32 %down, %down, %f;
    div.u32 %y, %k, %columns;
    cvt.rn.f32.u32 %f, %y;
    mul.rn.f32 %top, %f, %down;
    add.rn.f32 %bottom, %top, %down;
    cvt.rzi.u32.f32 %y, %top;
    cvt.rpi.u32.f32 %end_y, %bottom;
    min.u32 %end_y, %end_y, %height;

    mov.f32 %red, 0f00000000;
    mov.f32 %green, 0f00000000;
    mov.f32 %blue, 0f00000000;

LINE:
    setp.ge.u32 %p, %y, %end_y;
    @%p bra MEAN;
    cvt.rn.f32.u32 %low, %y;
    add.rn.f32 %high, %low, 0f3F800000;
    max.f32 %low, %low, %top;
    min.f32 %high, %high, %bottom;
    sub.rn.f32 %part, %high, %low;
    mul.wide.u32 %at, %y, %width;
    cvt.u64.u32 %offset, %first;
    add.u64 %at, %at, %offset;
    mul.lo.u64 %at, %at, 3;
    add.u64 %at, %at, %from;
    mov.u32 %x, %first;

PIXEL:
    setp.ge.u32 %p, %x, %end_x;
    @%p bra BELOW;
    cvt.rn.f32.u32 %low, %x;
    add.rn.f32 %high, %low, 0f3F800000;
    max.f32 %low, %low, %left;
    min.f32 %high, %high, %right;
    sub.rn.f32 %weight, %high, %low;
    mul.rn.f32 %weight, %weight, %part;
    ld.global.u8 %byte, [%at];
    cvt.rn.f32.u32 %f, %byte;
    fma.rn.f32 %red, %f, %weight, %red;
    ld.global.u8 %byte, [%at + 1];
    cvt.rn.f32.u32 %f, %byte;
    fma.rn.f32 %green, %f, %weight, %green;
    ld.global.u8 %byte, [%at + 2];
    cvt.rn.f32.u32 %f, %byte;
    fma.rn.f32 %blue, %f, %weight, %blue;
    add.u64 %at, %at, 3;
    add.u32 %x, %x, 1;
    bra PIXEL;

BELOW:
    add.u32 %y, %y, 1;
    bra LINE;

MEAN:
    mul.rn.f32 %part, %across, %down;
    mul.wide.u32 %offset, %k, 3;
    add.u64 %at, %to, %offset;
    div.rn.f32 %f, %red, %part;
    cvt.rni.u32.f32 %byte, %f;
    min.u32 %byte, %byte, 255;
    st.global.u8 [%at], %byte;
    div.rn.f32 %f, %green, %part;
    cvt.rni.u32.f32 %byte, %f;
    min.u32 %byte, %byte, 255;
    st.global.u8 [%at + 1], %byte;
    div.rn.f32 %f, %blue, %part;
    cvt.rni.u32.f32 %byte, %f;
    min.u32 %byte, %byte, 255;
    st.global.u8 [%at + 2], %byte;

LAST:
    ret;
}
"""
