@ Pieces of Cortex-M55 code, each with the most that it takes of the stack in bytes, or with what is said of it instead.

== leaf: 0
    bx lr

== leaf8: 8
    push {r4, lr}
    pop {r4, pc}

== leaf100: 100
    sub sp, #100
    add sp, #100
    bx lr

== while_loop: 16
    push {r7, lr}
    wls lr, r0, 2f
1:  push {r0, r1}
    pop {r0, r1}
    le lr, 1b
2:  pop {r7, pc}

== do_loop: 16
    push {r7, lr}
    dls lr, r0
1:  push {r0, r1}
    pop {r0, r1}
    le lr, 1b
    pop {r7, pc}

== predicated_loop: 8
    push {r7, lr}
    dlstp.8 lr, r0
1:  vldrb.u8 q0, [r1], #16
    vstrb.8 q0, [r2], #16
    letp lr, 1b
    pop {r7, pc}

== predicated_while_loop: 8
    push {r7, lr}
    wlstp.32 lr, r0, 2f
1:  vldrh.s32 q0, [r5], #8
    letp lr, 1b
2:  pop {r7, pc}

== vectors: 40
    push {r7, lr}
    vpush {d8-d11}
    vldmia sp!, {d8-d11}
    pop {r7, pc}

== vector_on_the_stack: 24
    push {r7, lr}
    sub sp, #16
    vstrw.32 q4, [sp]
    vldrw.u32 q4, [sp]
    add sp, #16
    pop {r7, pc}

== predicate: 16
    push {r7, lr}
    sub sp, #4
    vstr p0, [sp, #-4]!
    vldr p0, [sp], #4
    add sp, #4
    pop {r7, pc}

== results_of_vectors: 32
    push {r4-r7, lr}
    add r7, sp, #12
    sub sp, #12
    vmlaldav.s16 r0, r1, q0, q1
    vaddv.s32 r2, q0
    vmaxv.s8 r3, q0
    vmov r0, r1, q0[2], q0[0]
    vidup.u32 q0, r2, #1
    vmovlb.s8 q1, q0
    vshlc q0, r1, #3
    csel r0, r1, r2, eq
    lsll r2, r3, #4
    sub.w r4, r7, #12
    mov sp, r4
    pop {r4-r7, pc}

== loop_with_call: 108
    push {r4, lr}
    mov r4, lr
    wls lr, r0, 2f
1:  nop
    le lr, 1b
2:  bl leaf100
    pop {r4, pc}

== branch_future: not known
    .inst.w 0xf0c0e001
    bx lr
