"""The device functions of this program, as PTX: every driver since CUDA 11 compiles it itself.

So no compiler is needed where it runs. In CUDA C++ they are

    // An order lies in pinned memory: the count, the base of each input, the rows.
    void gather_rows(uint64_t* all, uint4** at, int* rows, unsigned units, uint4* out,
                     uint64_t* begun)
    {
        if (begun && !blockIdx.x && !threadIdx.x) *begun = globaltimer();
        unsigned count = *all;
        uint4* base = *at;
        if (!count) return;
        unsigned wide = min(count, gridDim.x);  // blocks that take different rows
        unsigned high = gridDim.x / wide;       // blocks that share a row
        unsigned part = blockIdx.x / wide;
        if (part >= high) return;
        for (unsigned k = blockIdx.x % wide; k < count; k += wide)
            for (unsigned i = part * blockDim.x + threadIdx.x; i < units; i += high * blockDim.x)
                out[(size_t)k * units + i] = base[(size_t)rows[k] * units + i];
    }

    void deliver(uint4* from, uint4* to, unsigned units, uint64_t* begun, uint64_t* done)
    {
        if (begun && !threadIdx.x) *begun = globaltimer();
        for (unsigned i = threadIdx.x; i < units; i += blockDim.x) to[i] = from[i];
        __threadfence_system();
        __syncthreads();
        if (done && !threadIdx.x) *done = globaltimer();  // released: who sees it sees `to`
    }

The gather has four loads of 16 bytes in flight a thread: `base` is host memory, and its latency is
a microsecond. `deliver` runs as one block. Both can write when they began, in ns on the device's
clock, to memory that the host reads. `fail_now` traps: the device is lost to this process, as after
any fault.
"""

UNIT_BYTES = 16
THREADS = 512

PTX = b"""
.version 7.0
.target sm_75
.address_size 64

.visible .entry gather_rows(
    .param .u64 p_all,
    .param .u64 p_at,
    .param .u64 p_rows,
    .param .u32 p_units,
    .param .u64 p_out,
    .param .u64 p_begun
)
.maxntid 512, 1, 1
{
    .reg .pred %p;
    .reg .b32 %count, %units, %k, %first, %i, %ahead, %step, %step3, %width, %tmp;
    .reg .b32 %wide, %high, %part;
    .reg .b32 %a<4>, %b<4>, %c<4>, %d<4>;
    .reg .b64 %base, %rows, %out, %from, %to, %f1, %f2, %f3, %t1, %t2, %t3, %offset, %row;
    .reg .b64 %bytes, %bytes4, %all, %at, %begun, %long;

    ld.param.u64 %all, [p_all];
    ld.param.u64 %at, [p_at];
    ld.param.u64 %rows, [p_rows];
    ld.param.u32 %units, [p_units];
    ld.param.u64 %out, [p_out];
    ld.param.u64 %begun, [p_begun];
    cvta.to.global.u64 %all, %all;
    cvta.to.global.u64 %at, %at;
    cvta.to.global.u64 %rows, %rows;
    cvta.to.global.u64 %out, %out;

    setp.eq.u64 %p, %begun, 0;
    @%p bra ORDER;
    mov.u32 %first, %tid.x;
    mov.u32 %tmp, %ctaid.x;
    or.b32 %tmp, %tmp, %first;
    setp.ne.u32 %p, %tmp, 0;
    @%p bra ORDER;
    cvta.to.global.u64 %begun, %begun;
    mov.u64 %long, %globaltimer;
    st.volatile.global.u64 [%begun], %long;

ORDER:
    ld.global.u64 %base, [%at];
    ld.global.u64 %long, [%all];
    cvta.to.global.u64 %base, %base;
    cvt.u32.u64 %count, %long;
    setp.eq.u32 %p, %count, 0;
    @%p bra DONE;

    mov.u32 %tmp, %nctaid.x;
    min.u32 %wide, %count, %tmp;
    div.u32 %high, %tmp, %wide;
    mov.u32 %tmp, %ctaid.x;
    div.u32 %part, %tmp, %wide;
    rem.u32 %k, %tmp, %wide;
    setp.ge.u32 %p, %part, %high;
    @%p bra DONE;

    mov.u32 %width, %ntid.x;
    mul.lo.u32 %step, %high, %width;
    mul.lo.u32 %step3, %step, 3;
    mul.wide.u32 %bytes, %step, 16;
    shl.b64 %bytes4, %bytes, 2;
    mov.u32 %first, %tid.x;
    mad.lo.u32 %first, %part, %width, %first;

ROW:
    setp.ge.u32 %p, %k, %count;
    @%p bra DONE;
    mul.wide.u32 %offset, %k, 4;
    add.u64 %offset, %rows, %offset;
    ld.global.u32 %tmp, [%offset];
    mul.wide.u32 %row, %tmp, %units;
    shl.b64 %row, %row, 4;
    mul.wide.u32 %offset, %first, 16;
    add.u64 %from, %base, %row;
    add.u64 %from, %from, %offset;
    mul.wide.u32 %row, %k, %units;
    shl.b64 %row, %row, 4;
    add.u64 %to, %out, %row;
    add.u64 %to, %to, %offset;
    mov.u32 %i, %first;

FOUR:
    add.u32 %ahead, %i, %step3;
    setp.ge.u32 %p, %ahead, %units;
    @%p bra ONE;
    add.u64 %f1, %from, %bytes;
    add.u64 %f2, %f1, %bytes;
    add.u64 %f3, %f2, %bytes;
    ld.global.v4.u32 {%a0, %a1, %a2, %a3}, [%from];
    ld.global.v4.u32 {%b0, %b1, %b2, %b3}, [%f1];
    ld.global.v4.u32 {%c0, %c1, %c2, %c3}, [%f2];
    ld.global.v4.u32 {%d0, %d1, %d2, %d3}, [%f3];
    add.u64 %t1, %to, %bytes;
    add.u64 %t2, %t1, %bytes;
    add.u64 %t3, %t2, %bytes;
    st.global.v4.u32 [%to], {%a0, %a1, %a2, %a3};
    st.global.v4.u32 [%t1], {%b0, %b1, %b2, %b3};
    st.global.v4.u32 [%t2], {%c0, %c1, %c2, %c3};
    st.global.v4.u32 [%t3], {%d0, %d1, %d2, %d3};
    add.u64 %from, %from, %bytes4;
    add.u64 %to, %to, %bytes4;
    add.u32 %i, %ahead, %step;
    bra FOUR;

ONE:
    setp.ge.u32 %p, %i, %units;
    @%p bra NEXT;
    ld.global.v4.u32 {%a0, %a1, %a2, %a3}, [%from];
    st.global.v4.u32 [%to], {%a0, %a1, %a2, %a3};
    add.u64 %from, %from, %bytes;
    add.u64 %to, %to, %bytes;
    add.u32 %i, %i, %step;
    bra ONE;

NEXT:
    add.u32 %k, %k, %wide;
    bra ROW;

DONE:
    ret;
}

.visible .entry deliver(
    .param .u64 p_from,
    .param .u64 p_to,
    .param .u32 p_units,
    .param .u64 p_begun,
    .param .u64 p_done
)
.maxntid 512, 1, 1
{
    .reg .pred %p, %first;
    .reg .b32 %i, %units, %width, %a<4>;
    .reg .b64 %from, %to, %begun, %done, %now, %offset, %at;

    ld.param.u64 %from, [p_from];
    ld.param.u64 %to, [p_to];
    ld.param.u32 %units, [p_units];
    ld.param.u64 %begun, [p_begun];
    ld.param.u64 %done, [p_done];
    cvta.to.global.u64 %from, %from;
    cvta.to.global.u64 %to, %to;
    mov.u32 %i, %tid.x;
    mov.u32 %width, %ntid.x;

    setp.ne.u32 %first, %i, 0;
    @%first bra UNIT;
    setp.eq.u64 %p, %begun, 0;
    @%p bra UNIT;
    cvta.to.global.u64 %begun, %begun;
    mov.u64 %now, %globaltimer;
    st.volatile.global.u64 [%begun], %now;

UNIT:
    setp.ge.u32 %p, %i, %units;
    @%p bra WRITTEN;
    mul.wide.u32 %offset, %i, 16;
    add.u64 %at, %from, %offset;
    ld.global.v4.u32 {%a0, %a1, %a2, %a3}, [%at];
    add.u64 %at, %to, %offset;
    st.global.v4.u32 [%at], {%a0, %a1, %a2, %a3};
    add.u32 %i, %i, %width;
    bra UNIT;

WRITTEN:
    fence.acq_rel.sys;
    bar.sync 0;
    @%first bra END;
    setp.eq.u64 %p, %done, 0;
    @%p bra END;
    cvta.to.global.u64 %done, %done;
    mov.u64 %now, %globaltimer;
    st.release.sys.global.u64 [%done], %now;

END:
    ret;
}

.visible .entry fail_now()
{
    trap;
    ret;
}
"""
