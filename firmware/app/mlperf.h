/* The serial protocol of MLPerf Tiny (mlcommons/tiny, benchmark/api and benchmark/runner): performance mode, or the energy mode where a
 * board was built for it.
 *
 * The bytes that `db` loads are those of the data set, converted as the benchmark of the model's name wants it:
 *   ic01, vww01   uint8 pixels, stored minus 128
 *   any model     4 bytes for each int8 element: float32, quantized with the input's scale and zero point (ad01)
 *   otherwise     the bytes of the input tensors, one after another (kws01)
 * A model called ad01 answers with its anomaly score, the mean squared difference of output and input; others with their outputs. */
#ifndef EC_APP_MLPERF_H
#define EC_APP_MLPERF_H

#include "ec_types.h"

/* What a device says when it starts: mode, time, ready for commands. */
void ec_mlperf_send_banner(void);

/* Carry out one command and send its answer (without m-ready). */
void ec_mlperf_handle(char *command);

#endif
