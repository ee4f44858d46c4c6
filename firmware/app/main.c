/* The serial application: a model behind ec_model.h, a board behind ec_port.h, one command after another. */
#include "ec_port.h"
#include "frame.h"
#include "link.h"
#include "mlperf.h"
#include "session.h"

static void send_ready(void)
{
    ec_link_send_text("m-ready\r\n");
}

_Noreturn void ec_app_main(void)
{
    ec_port_init();
    ec_session_init();
    ec_mlperf_send_banner();
    send_ready();
    for (;;) {
        char *command;
        const int length = ec_link_read_command(&command);
        if (length == LINK_TOO_LONG) {
            ec_link_send_text("e-[Command too long]\r\n");
        } else if (length >= 3 && command[0] == 'e' && command[1] == 'c' && command[2] == ' ') {
            ec_frame_handle(command, (uint32_t)length);
        } else {
            ec_mlperf_handle(command);
        }
        send_ready();
    }
}

static void send_fault_field(const char *name, uint32_t value)
{
    ec_link_send_text(name);
    ec_link_send_hex(value, 8);
}

/* Says what happened, and says it again to every later command: the core can do nothing else any more. */
_Noreturn void ec_app_fault(const ec_fault *fault)
{
    for (;;) {
        ec_link_send_text("\r\ne-[Fault ");
        ec_link_send_decimal(fault->exception);
        send_fault_field(" pc=", fault->pc);
        send_fault_field(" lr=", fault->lr);
        send_fault_field(" status=", fault->status);
        send_fault_field(" address=", fault->address);
        ec_link_send_text("]\r\n");
        send_ready();
        char *command;
        ec_link_read_command(&command);
    }
}
