"""The two device functions of this program, as PTX: every driver since CUDA 11 compiles it itself.

So no compiler is needed where it runs. In CUDA C++, `gather_rows` is

    void gather_rows(const uint4* base, const int* rows, unsigned count, unsigned units, uint4* out)
    {
        unsigned step = gridDim.y * blockDim.x;
        for (unsigned k = blockIdx.x; k < count; k += gridDim.x)
            for (unsigned i = blockIdx.y * blockDim.x + threadIdx.x; i < units; i += step)
                out[(size_t)k * units + i] = base[(size_t)rows[k] * units + i];
    }

with four loads of 16 bytes in flight a thread: `base` is host memory, and its latency is a
microsecond. `fail_now` traps: the device is lost to this process, as after any fault.
"""

UNIT_BYTES = 16
THREADS = 512

PTX = b"""
.version 7.0
.target sm_75
.address_size 64

.visible .entry gather_rows(
    .param .u64 p_base,
    .param .u64 p_rows,
    .param .u32 p_count,
    .param .u32 p_units,
    .param .u64 p_out
)
.maxntid 512, 1, 1
{
    .reg .pred %p;
    .reg .b32 %count, %units, %k, %first, %i, %ahead, %step, %step3, %width, %tmp;
    .reg .b32 %a<4>, %b<4>, %c<4>, %d<4>;
    .reg .b64 %base, %rows, %out, %from, %to, %f1, %f2, %f3, %t1, %t2, %t3, %offset, %row;
    .reg .b64 %bytes, %bytes4;

    ld.param.u64 %base, [p_base];
    ld.param.u64 %rows, [p_rows];
    ld.param.u32 %count, [p_count];
    ld.param.u32 %units, [p_units];
    ld.param.u64 %out, [p_out];
    cvta.to.global.u64 %base, %base;
    cvta.to.global.u64 %rows, %rows;
    cvta.to.global.u64 %out, %out;

    mov.u32 %width, %ntid.x;
    mov.u32 %tmp, %nctaid.y;
    mul.lo.u32 %step, %tmp, %width;
    mul.lo.u32 %step3, %step, 3;
    mul.wide.u32 %bytes, %step, 16;
    shl.b64 %bytes4, %bytes, 2;
    mov.u32 %tmp, %ctaid.y;
    mov.u32 %first, %tid.x;
    mad.lo.u32 %first, %tmp, %width, %first;
    mov.u32 %k, %ctaid.x;

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
    mov.u32 %tmp, %nctaid.x;
    add.u32 %k, %k, %tmp;
    bra ROW;

DONE:
    ret;
}

.visible .entry fail_now()
{
    trap;
    ret;
}
"""
