/* The RP2040's second stage: sets up the flash chip for four data lines, then starts the program behind itself.
 *
 * The boot ROM copies the first 256 bytes of flash to the end of SRAM, checks their CRC-32 (the build appends it), and calls them
 * (RP2040 datasheet 2.8.1). Until then flash is read bit by bit. From here on an access sends no command, only an address and the mode
 * byte that says that the next access will send none either: 20 clocks for a word instead of 64.
 *
 *   SSI, the flash interface   RP2040 datasheet 4.10
 *   QSPI pads                  2.19.6.4
 *   flash commands             W25Q16JV datasheet, chapter 8: most chips of this family and many others know the same ones
 *
 * Position-independent; no stack. It ends with a jump, so a wait that never ends has nothing to fall back on and has no bound. */
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .equ SSI, 0x18000000
    .equ SSI_CTRLR0, 0x00       /* 22:21 data lines (2: four), 20:16 bits of a frame - 1, 9:8 0 both ways, 3 command then data */
    .equ SSI_CTRLR1, 0x04       /* frames of an answer - 1 */
    .equ SSI_SSIENR, 0x08       /* on; most registers only change while it is off */
    .equ SSI_SER, 0x10          /* 1: the chip is selected while something is sent */
    .equ SSI_BAUDR, 0x14        /* clk_sys by this, an even number */
    .equ SSI_RXFLR, 0x24        /* how many frames came back and were not read */
    .equ SSI_SR, 0x28           /* bit 0 busy, bit 2 nothing left to send */
    .equ SSI_DR0, 0x60
    .equ SSI_RX_SAMPLE_DLY, 0xF0
    .equ SSI_SPI_CTRLR0, 0xF4   /* 31:24 mode byte or command, 15:11 wait clocks, 9:8 2: command of 8 bits, 5:2 address in units of
                                   4 bits (mode byte included), 1:0 1: only the command on one line, 2: nothing on one line */

    .equ PADS_QSPI, 0x40020000
    .equ PAD_SCLK, 0x04         /* bit 0 fast edges, 5:4 drive: 2 is 8 mA, bit 6 input on */
    .equ PAD_SD0, 0x08          /* the four data lines; bit 1 Schmitt trigger, which costs time */

    .equ VECTORS, 0x10000100
    .equ VTOR, 0xE000ED08

    .equ WRITE_STATUS, 0x01
    .equ READ_STATUS_1, 0x05    /* bit 0 busy */
    .equ WRITE_ENABLE, 0x06
    .equ READ_STATUS_2, 0x35    /* bit 1 the pins /WP and /HOLD are data lines 2 and 3 (QE) */
    .equ READ_QUAD, 0xEB
    .equ STAY_IN_READ_MODE, 0xA0

    .section .text
    .global boot2
    .type boot2, %function
    .thumb_func
boot2:
    /* r3 is the SSI all through. The pads at 62 MHz and more: a strong fast clock, and data without delay. */
    ldr r0, =PADS_QSPI
    movs r1, #(1 << 6 | 2 << 4 | 1 << 0)
    str r1, [r0, #PAD_SCLK]
    ldr r1, [r0, #PAD_SD0]
    movs r2, #(1 << 1)
    bics r1, r2
    str r1, [r0, #PAD_SD0]
    str r1, [r0, #PAD_SD0 + 4]
    str r1, [r0, #PAD_SD0 + 8]
    str r1, [r0, #PAD_SD0 + 12]

    ldr r3, =SSI
    movs r0, #0
    str r0, [r3, #SSI_SSIENR]
    movs r0, #2                 /* 62.5 MHz at clk_sys 125 MHz; the chip allows 133 MHz */
    str r0, [r3, #SSI_BAUDR]
    movs r0, #1                 /* at that speed data comes one clk_sys late */
    str r0, [r3, #SSI_SER]
    movs r1, #SSI_RX_SAMPLE_DLY
    str r0, [r3, r1]

    /* Are the data lines 2 and 3 data lines? The chip keeps that over power cycles, so it is written once in its life. */
    ldr r0, =(7 << 16)
    str r0, [r3, #SSI_CTRLR0]
    movs r0, #1
    str r0, [r3, #SSI_SSIENR]
    movs r0, #READ_STATUS_2
    bl ask
    movs r1, #(1 << 1)
    tst r0, r1
    bne quad
    orrs r0, r1
    mov r4, r0
    movs r0, #READ_STATUS_1
    bl ask
    mov r5, r0
    movs r0, #WRITE_ENABLE
    str r0, [r3, #SSI_DR0]
    bl drain
    movs r0, #WRITE_STATUS
    str r0, [r3, #SSI_DR0]
    str r5, [r3, #SSI_DR0]
    str r4, [r3, #SSI_DR0]
    bl drain
0:  movs r0, #READ_STATUS_1
    bl ask
    movs r1, #1
    tst r0, r1
    bne 0b

quad:
    /* One read with its command, which leaves the chip waiting for addresses alone. */
    movs r0, #0
    str r0, [r3, #SSI_SSIENR]
    ldr r0, =(2 << 21 | 31 << 16 | 3 << 8)
    str r0, [r3, #SSI_CTRLR0]
    movs r0, #0
    str r0, [r3, #SSI_CTRLR1]
    ldr r0, =(4 << 11 | 2 << 8 | 8 << 2 | 1)
    movs r1, #SSI_SPI_CTRLR0
    str r0, [r3, r1]
    movs r0, #1
    str r0, [r3, #SSI_SSIENR]
    movs r0, #READ_QUAD
    str r0, [r3, #SSI_DR0]
    movs r0, #STAY_IN_READ_MODE /* address 0 above it */
    str r0, [r3, #SSI_DR0]
    bl drain

    /* From now on the SSI turns each access to flash into an address and the mode byte. */
    movs r0, #0
    str r0, [r3, #SSI_SSIENR]
    ldr r0, =(STAY_IN_READ_MODE << 24 | 4 << 11 | 0 << 8 | 8 << 2 | 2)
    movs r1, #SSI_SPI_CTRLR0
    str r0, [r3, r1]
    movs r0, #1
    str r0, [r3, #SSI_SSIENR]

    ldr r0, =VECTORS
    ldr r1, =VTOR
    str r0, [r1]
    ldr r1, [r0, #0]
    msr msp, r1
    ldr r1, [r0, #4]
    bx r1

/* r0: a command that answers with one byte; gives that byte. Changes r1, r2, r6. */
    .thumb_func
ask:
    mov r6, lr
    str r0, [r3, #SSI_DR0]
    str r0, [r3, #SSI_DR0]      /* any byte: it clocks the answer out */
    bl sent
    ldr r0, [r3, #SSI_DR0]
    ldr r0, [r3, #SSI_DR0]
    bx r6

/* Everything is sent, and what came back is thrown away. Changes r0, r1, r2, r6. */
    .thumb_func
drain:
    mov r6, lr
    bl sent
0:  ldr r1, [r3, #SSI_RXFLR]
    cmp r1, #0
    beq 1f
    ldr r0, [r3, #SSI_DR0]
    b 0b
1:  bx r6

/* Everything is sent: nothing left, and not busy. Changes r1, r2. */
    .thumb_func
sent:
    ldr r1, [r3, #SSI_SR]
    movs r2, #(1 << 2 | 1 << 0)
    ands r1, r2
    cmp r1, #(1 << 2)
    bne sent
    bx lr

    .balign 4
    .ltorg
