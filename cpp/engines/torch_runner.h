/// Runs a model that AOTInductor compiled, by a plain C interface.
///
/// torch's own Python binding holds the interpreter's lock for the whole call and has one runner: two threads
/// are slower than one. Whoever calls these functions holds no lock, and as many calls as there are `runners`
/// go on at once; one more waits. It is built against the torch that is installed (`recserve compile`) and is
/// no part of the core, which knows neither torch nor Python.
///
/// A compiled model trusts its inputs: other shapes than it was compiled for are read beyond their ends, and
/// kill the process. So nothing reaches it that differs from what `recserve_runner_expect` was told:
///
///     expected   type int64, sizes (R)       type float32, sizes (R, 2)      type int64, sizes (1)
///     given      type int64, sizes (5)       type float32, sizes (5, 2)      type int64, sizes (1)      runs
///     given      type int64, sizes (5)       type float32, sizes (4, 2)      type int64, sizes (1) refused
#pragma once

#include <cstdint>

extern "C" {

/// Tensors have at most so many dimensions.
enum { RECSERVE_MAX_RANK = 4 };

/// A contiguous tensor in memory of the CPU. `type` is torch's number of a type (4: int64, 6: float32).
struct RecserveTensor {
  void* data;
  int64_t type;
  int64_t rank;
  int64_t sizes[RECSERVE_MAX_RANK];
};

/// What went wrong, ended by a zero.
struct RecserveError {
  char text[1024];
};

struct RecserveRunner;
struct RecserveOutputs;

/// Loads a package: a .pt2 file, or the directory that one was unpacked to. `runners` calls may go on at
/// once. Null if that fails.
RecserveRunner* recserve_runner_open(const char* package, int64_t runners, RecserveError* error);
void recserve_runner_close(RecserveRunner* runner);

/// How the package names its inputs and outputs: torch's JSON of nested containers. Valid until it is closed.
const char* recserve_runner_inputs(const RecserveRunner* runner);
const char* recserve_runner_outputs(const RecserveRunner* runner);

/// Says what inputs have to be, in the order of the package; called once, before the first run. Sizes of 0
/// and more are meant literally, -1 is any size, and those that share another negative number are equal in a
/// call. A type or rank of -1 is any: for inputs that another part of the same model makes.
void recserve_runner_expect(RecserveRunner* runner, const RecserveTensor* inputs, int64_t count);

/// Runs the model once; any thread may, at any time. The inputs' memory is only read, and only during the
/// call. Null if inputs are not as expected or the model fails.
RecserveOutputs* recserve_runner_run(RecserveRunner* runner, const RecserveTensor* inputs, int64_t count,
                                     RecserveError* error);

/// The outputs, which live until they are freed.
int64_t recserve_outputs_count(const RecserveOutputs* outputs);
const RecserveTensor* recserve_outputs_tensors(const RecserveOutputs* outputs);
void recserve_outputs_free(RecserveOutputs* outputs);
}
