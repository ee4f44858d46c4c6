@ Pieces of Cortex-M4 code, each with the most that it takes of the stack in bytes, or with what is said of it instead.

== leaf: 0
    bx lr

== leaf8: 8
    push {r4, lr}
    pop {r4, pc}

== leaf100: 100
    sub sp, #100
    add sp, #100
    bx lr

== wide_push: 36
    push {r4-r11, lr}
    pop {r4-r11, pc}

== float_registers: 100
    push {r4-r11, lr}
    vpush {d8-d15}
    vpop {d8-d15}
    pop {r4-r11, pc}

== single_registers: 20
    vpush {s16-s19}
    str lr, [sp, #-4]!
    ldr lr, [sp], #4
    vldmia sp!, {s16-s19}
    bx lr

== one_register: 8
    str lr, [sp, #-8]!
    ldr pc, [sp], #8

== two_registers: 16
    strd r4, lr, [sp, #-16]!
    ldrd r4, lr, [sp], #16
    bx lr

== wide_frame: 4104
    push {r7, lr}
    sub.w sp, sp, #4096
    addw sp, sp, #96
    add.w sp, sp, #4000
    pop {r7, pc}

== frame_in_a_register: 70008
    push {r7, lr}
    movw r7, #0x1170
    movt r7, #1
    sub sp, sp, r7
    add sp, r7
    pop {r7, pc}

== aligned_by_bfc: 40
    push {r4, r7, lr}
    add r7, sp, #4
    sub sp, #20
    mov r4, sp
    bfc r4, #0, #4
    mov sp, r4
    sub.w r4, r7, #4
    mov sp, r4
    pop {r4, r7, pc}

== aligned_by_bic: 72
    push {r6, r7, lr}
    add r7, sp, #4
    sub.w r6, sp, #36
    bic r6, r6, #31
    mov sp, r6
    subs r7, #4
    mov sp, r7
    pop {r6, r7, pc}

== conditional_return: 16
    push {r4, lr}
    cmp r0, #0
    it eq
    popeq {r4, pc}
    push {r0, r1}
    pop {r0, r1}
    pop {r4, pc}

== conditional_frame: 12
    push {r4, lr}
    sub sp, #4
    cmp r0, #0
    itt ne
    addne sp, #4
    popne {r4, pc}
    add sp, #4
    pop {r4, pc}

== either_way: 8
    cmp r0, #0
    ite ne
    strne lr, [sp, #-8]!
    streq lr, [sp, #-8]!
    ldr pc, [sp], #8

== conditional_call: 108
    push {r4, lr}
    cmp r0, #0
    it mi
    blmi leaf100
    pop {r4, pc}

== compare_in_a_block: 108
    push {r4, lr}
    cmp r0, #0
    itt eq
    cmpeq r1, #0
    bleq leaf100
    pop {r4, pc}

== compare_and_branch: 16
    push {r4, lr}
    cbz r0, 1f
    pop {r4, pc}
1:  cbnz r1, 2f
    bl leaf8
2:  pop {r4, pc}

== byte_table: 108
    push {r4, lr}
    cmp r0, #2
    bhi 3f
    tbb [pc, r0]
0:  .byte (1f - 0b) / 2, (2f - 0b) / 2, (3f - 0b) / 2
    .p2align 1
1:  bl leaf8
    b 3f
2:  bl leaf100
3:  pop {r4, pc}

== halfword_table: 108
    push {r4, lr}
    tbh [pc, r0, lsl #1]
0:  .short (1f - 0b) / 2, (2f - 0b) / 2
1:  bl leaf8
    pop {r4, pc}
2:  bl leaf100
    pop {r4, pc}

== table_elsewhere: 108
    push {r4, lr}
    adr r1, 0f
    tbb [r1, r0]
1:  bl leaf8
    pop {r4, pc}
2:  bl leaf100
    pop {r4, pc}
    .p2align 2
0:  .byte 0, 3, 0, 0

== address_table: 108
    push {r4, lr}
    adr r1, 0f
    ldr pc, [r1, r0, lsl #2]
    .p2align 2
0:  .word 1f + 1, 2f + 1
1:  bl leaf8
    pop {r4, pc}
2:  bl leaf100
    pop {r4, pc}

== far_branch: 100
    movw r12, #:lower16:leaf100
    movt r12, #:upper16:leaf100
    bx r12

== stepping_through_a_table: 108
    push {r4, lr}
    movw r4, #:lower16:table
    movt r4, #:upper16:table
1:  ldr r1, [r4], #4
    blx r1
    cmp r0, #0
    bne 1b
    pop {r4, pc}

== stepping_from_before_a_table: 108
    push {r4, lr}
    movw r4, #:lower16:table-4
    movt r4, #:upper16:table-4
1:  ldr r1, [r4, #4]!
    blx r1
    cmp r0, #0
    bne 1b
    pop {r4, pc}

== tail_call_of_a_table: 100
    ldr r1, 1f
    ldr.w r1, [r1, r0, lsl #2]
    bx r1
    .p2align 2
1:  .word table

== computed_address: 44
    push {r4-r11, lr}
    adr r3, 1f
    add r3, r3, r0, lsl #1
    orr r3, r3, #1
    bx r3
    .p2align 2
1:  nop
    nop
    push {r0, r1}
    pop {r0, r1}
    pop {r4-r11, pc}

== unrolled: 52
    push {r4-r11, lr}
    sub sp, #16
    rsb r1, r1, #4
    lsls r1, #2
    add pc, r1
    nop
2:  ldr r4, [r0], #4
    ldr r4, [r0], #4
    ldr r4, [r0], #4
    ldr r4, [r0], #4
    subs r2, #4
    bgt 2b
    add sp, #16
    pop {r4-r11, pc}

== conditional_far_branch: 100
    cmp r0, #0
    bne.w leaf100
    bx lr

== array_of_unknown_length: array_of_unknown_length+0x4: the stack pointer moves
    push {r7, lr}
    mov r7, sp
    sub.w sp, sp, r0
    mov sp, r7
    pop {r7, pc}

== frame_by_condition: returns with the stack pointer 8 bytes below
    cmp r0, #0
    it ne
    strne lr, [sp, #-8]!
    bx lr
