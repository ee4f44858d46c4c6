@ Pieces of Cortex-M0+ code, each with the most that it takes of the stack in bytes, or with what is said of it instead.

== leaf: 0
    bx lr

== leaf8: 8
    push {r4, lr}
    pop {r4, pc}

== leaf100: 100
    sub sp, #100
    add sp, #100
    bx lr

== pop_into_a_low_register: 8
    push {r4, lr}
    pop {r4}
    pop {r1}
    bx r1

@ In long functions compilers jump far by a call whose return address nobody uses.
== far_jump_by_bl: 40
    push {r4, lr}
    sub sp, #16
    cmp r0, #0
    bne 1f
    bl 2f
1:  add sp, #16
    pop {r4, pc}
2:  sub sp, #16
    add sp, #16
    bl 1b

== far_jump_loses_the_return_address: jumps through a pointer that is known only when it runs
    bl 1f
    nop
1:  bx lr

== high_registers: 16
    push {r4, lr}
    mov r4, r8
    mov r3, r9
    push {r3, r4}
    pop {r3, r4}
    mov r8, r4
    mov r9, r3
    pop {r4, pc}

== frame_from_a_literal: 528
    push {r4, lr}
    ldr r4, 1f
    add sp, r4
    ldr r4, 2f
    add sp, r4
    pop {r4, pc}
    .p2align 2
1:  .word -520
2:  .word 520

== frame_from_shifts: 520
    push {r4, lr}
    movs r4, #128
    lsls r4, r4, #2
    negs r4, r4
    add sp, r4
    movs r4, #255
    adds r4, #1
    lsls r4, r4, #1
    add sp, r4
    pop {r4, pc}

== frame_pointer: 32
    push {r7, lr}
    add r7, sp, #0
    sub sp, #24
    mov sp, r7
    pop {r7, pc}

== frame_pointer_after_a_call: 132
    push {r7, lr}
    add r7, sp, #0
    sub sp, #24
    bl leaf100
    mov sp, r7
    pop {r7, pc}

== aligned_to_16: 40
    push {r4, r7, lr}
    add r7, sp, #4
    sub sp, #20
    mov r4, sp
    lsrs r4, r4, #4
    lsls r4, r4, #4
    mov sp, r4
    subs r4, r7, #4
    mov sp, r4
    pop {r4, r7, pc}

== one_of_two_ways: 108
    push {r4, lr}
    cmp r0, #0
    beq 1f
    bl leaf100
1:  pop {r4, pc}

== early_return: 8
    cmp r0, #0
    bne 1f
    bx lr
1:  push {r4, lr}
    bl leaf
    pop {r4, pc}

== two_endings_of_two_depths: 16
    push {r4, lr}
    cmp r0, #0
    beq 1f
    push {r0, r1}
    b 2f
1:  pop {r4, pc}
2:  add sp, #8
    b 1b

== loop: 108
    push {r4, lr}
1:  bl leaf100
    subs r4, #1
    bne 1b
    pop {r4, pc}

== tail_call: 100
    push {r4, lr}
    pop {r4}
    pop {r3}
    mov lr, r3
    b leaf100

== falls_into_the_next: 16
    push {r4, lr}
    bl leaf8
    pop {r4}
    pop {r3}
    mov lr, r3

== leaf_behind: 0
    bx lr

== local_routine: 12
    push {r4, lr}
    bl 1f
    pop {r4, pc}
1:  push {r4}
    pop {r4}
    bx lr

== literal_call: 108
    push {r4, lr}
    ldr r1, 1f
    blx r1
    pop {r4, pc}
    .p2align 2
1:  .word leaf100 + 0

== table_call: 108
    push {r4, lr}
    ldr r1, 1f
    lsls r0, #2
    ldr r1, [r1, r0]
    blx r1
    pop {r4, pc}
    .p2align 2
1:  .word table

== table_call_base_and_index_swapped: 108
    push {r4, lr}
    ldr r1, 1f
    lsls r0, #2
    ldr r1, [r0, r1]
    blx r1
    pop {r4, pc}
    .p2align 2
1:  .word table

== table_of_tables: 108
    push {r4, lr}
    ldr r1, 1f
    ldr r2, [r1, r0]
    ldr r2, [r2, r0]
    blx r2
    pop {r4, pc}
    .p2align 2
1:  .word tables

== one_of_two_functions: 108
    push {r4, lr}
    ldr r1, 2f
    cmp r0, #0
    beq 1f
    ldr r1, 3f
1:  blx r1
    pop {r4, pc}
    .p2align 2
2:  .word leaf
3:  .word leaf100

== pointer_kept_on_the_stack: 116
    push {r4, lr}
    sub sp, #8
    ldr r1, 1f
    str r1, [sp, #4]
    bl leaf8
    ldr r2, [sp, #4]
    blx r2
    add sp, #8
    pop {r4, pc}
    .p2align 2
1:  .word leaf100

== long_branch: 100
    push {r0, r1}
    ldr r0, 1f
    str r0, [sp, #4]
    pop {r0, pc}
    .p2align 2
1:  .word leaf100

== computed_jump: 24
    push {r4, lr}
    add pc, r0
    nop
    adds r1, #1
    adds r1, #1
    push {r0-r3}
    pop {r0-r3}
    pop {r4, pc}

== behind_the_call_lies_a_table: 16
    push {r4, lr}
    bl skip
    .byte 2, 4, 0, 0
    .p2align 1
    b 1f
    b 2f
1:  pop {r4, pc}
2:  push {r0, r1}
    pop {r0, r1}
    pop {r4, pc}

== skip: 0
    mov r12, r1
    mov r1, lr
    lsrs r1, r1, #1
    lsls r1, r1, #1
    ldrb r1, [r1, r0]
    lsls r1, #1
    add lr, r1
    mov r1, r12
    bx lr

== trap: 12
    push {r4, lr}
    cmp r0, #0
    beq 1f
    pop {r4, pc}
1:  push {r0}
    udf #0

== never_returns: 108
    push {r4, lr}
    cmp r0, #0
    bne 1f
    pop {r4, pc}
1:  bl leaf100
    .word 0x12345678

== recursion: recursion calls recursion: the depth
    push {r4, lr}
    bl recursion
    pop {r4, pc}

== ping: ping calls pong calls ping: the depth
    push {r4, lr}
    bl pong
    pop {r4, pc}

== pong: pong calls ping calls pong: the depth
    push {r4, lr}
    bl ping
    pop {r4, pc}

== calls_its_argument: calls_its_argument+0x2: calls through a pointer
    push {r4, lr}
    blx r0
    pop {r4, pc}

== calls_what_its_argument_holds: calls through a pointer
    push {r4, lr}
    ldr r1, [r0]
    blx r1
    pop {r4, pc}

== calls_a_variable: calls through a pointer
    push {r4, lr}
    ldr r1, 1f
    ldr r1, [r1]
    blx r1
    pop {r4, pc}
    .p2align 2
1:  .word variable

== jumps_to_its_argument: jumps through a pointer
    bx r0

== calls_one: calls_its_argument+0x2: calls through
    push {r4, lr}
    bl calls_its_argument
    pop {r4, pc}

== stack_of_its_own: the stack pointer moves
    mov sp, r0
    bx lr

== writes_the_main_stack_pointer: the stack pointer moves
    msr msp, r0
    bx lr

== pushes_in_a_loop: ever other stack pointers
1:  push {r0}
    subs r1, #1
    bne 1b
    bx lr

== leaves_something_behind: returns with the stack pointer 8 bytes below
    push {r4, lr}
    bx lr

== takes_too_much: takes more from the stack
    pop {r4}
    bx lr

== runs_into_data: runs into data
    movs r0, #0
    .word 0

== computed_jumps_of_two_depths: computed jumps with different
    cmp r0, #0
    beq 1f
    push {r4}
    add pc, r0
1:  add pc, r0
    nop
    bx lr

== jumps_from_its_frame: jumps through a pointer
    push {r4, lr}
    bx r0

== calls_what_lies_on_the_stack: calls through a pointer
    push {r4, lr}
    ldr r1, [sp, #8]
    blx r1
    pop {r4, pc}
