/* Counts executed Thumb instructions for the emulator, called once a block. Built once for the host by edgecompress/device/block_counter.py,
 * which mirrors `counter`.
 *
 * A block's length in instructions is worked out when it is first met: a Thumb instruction has 4 bytes when the top five bits of its first
 * halfword are 29, 30 or 31, else 2 (Armv7-M Architecture Reference Manual, A5.1). */
#include <stdint.h>

typedef struct {
    uint64_t instructions;
    uint64_t limit;              /* stop when `instructions` reaches it: a time-out that does not depend on the host's speed */
    uint64_t outside;            /* blocks that began outside the code: 0, unless something is badly wrong */
    const uint8_t *code;         /* [code_bytes], as loaded */
    uint32_t *known;             /* [code_bytes / 2] by address: block bytes << 16 | instructions; 0 is unknown */
    uint32_t code_address;
    uint32_t code_bytes;
    uint32_t unaligned_address;  /* of the first access that a core would refuse */
    uint32_t unaligned;          /* 1 when there was one */
    uint32_t conditional;        /* not 0: the block that runs now holds an IT instruction */
    int pc_register;             /* UC_ARM_REG_PC */
    int status_register;         /* UC_ARM_REG_XPSR */
    int (*stop)(void *);         /* uc_emu_stop */
    int (*read_register)(void *, int, void *);          /* uc_reg_read */
    int (*write_register)(void *, int, const void *);   /* uc_reg_write */
} counter;

/* Of a block of at most 65,535 bytes: instructions in the low bits, and whether one is IT (BFxy with y not 0). */
#define COUNT 0x7FFFu
#define HOLDS_IT 0x8000u

/* Bits 26:25 and 15:10 of XPSR. */
#define IT_STATE 0x0600FC00u

static uint32_t count_instructions(const uint8_t *code, uint32_t bytes)
{
    uint32_t count = 0, holds_it = 0;
    for (uint32_t at = 0; at + 1 < bytes; count++) {
        if (code[at + 1] == 0xBF && (code[at] & 15) != 0)
            holds_it = HOLDS_IT;
        at += code[at + 1] >> 3 >= 29 ? 4 : 2;
    }
    return count | holds_it;
}

void ec_count_block(void *engine, uint64_t address, uint32_t bytes, void *user)
{
    counter *c = user;
    const uint64_t at = address - c->code_address;
    if (at + bytes > c->code_bytes || bytes > 0xFFFF) {
        c->outside++;
        return;
    }
    uint32_t known = c->known[at >> 1];
    /* The same address can start blocks of several lengths. */
    if (known >> 16 != bytes) {
        known = bytes << 16 | count_instructions(c->code + at, bytes);
        c->known[at >> 1] = known;
    }
    c->instructions += known & COUNT;
    c->conditional = known & HOLDS_IT;
    if (c->instructions >= c->limit)
        c->stop(engine);
}

/* Whether the instruction at `at` faults on an unaligned address on every core (Armv7-M Architecture Reference Manual, A3.2.1):
 * LDM, STM, PUSH, POP, LDRD, STRD, LDREX and STREX; VLDR, VSTR, VLDM, VSTM, VPUSH and VPOP. */
static int needs_alignment(const uint8_t *at)
{
    const uint32_t first = at[0] | (uint32_t)at[1] << 8;
    return (first & 0xF000) == 0xC000 || (first & 0xF600) == 0xB400 || (first & 0xFE00) == 0xE800 || (first & 0xFE00) == 0xEC00;
}

/* Where accesses are watched, the emulator keeps the IT state of a conditional load or store, and would begin the next block inside an IT
 * block. */
static void forget_it_state(void *engine, const counter *c)
{
    uint32_t status = 0;
    c->read_register(engine, c->status_register, &status);
    if ((status & IT_STATE) == 0)
        return;
    status &= ~IT_STATE;
    c->write_register(engine, c->status_register, &status);
}

/* The emulator lets unaligned accesses pass that a core would not. */
void ec_check_alignment(void *engine, int type, uint64_t address, int bytes, int64_t value, void *user)
{
    counter *c = user;
    uint32_t pc = 0;
    (void)type;
    (void)value;
    /* Doubleword instructions need no more than word alignment. */
    const uint64_t mask = bytes >= 4 ? 3 : (uint64_t)bytes - 1;
    const int watch = (address & mask) != 0 && c->unaligned == 0;
    if (watch)
        c->read_register(engine, c->pc_register, &pc);
    if (c->conditional)
        forget_it_state(engine, c);
    if (!watch)
        return;
    const uint32_t at = pc - c->code_address;
    if (at + 1 >= c->code_bytes || !needs_alignment(c->code + at))
        return;
    c->unaligned = 1;
    c->unaligned_address = (uint32_t)address;
    c->stop(engine);
}
