// SPDX-License-Identifier: MIT
// Where a program runs, and the memory it takes there.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace cdm {

/// Loads LibTorch's CUDA libraries when the machine has an NVIDIA driver; otherwise does nothing.
/// Must be the first act of main(): programs link LibTorch's CPU part only, and the first question
/// LibTorch answers about CUDA is answered for good.
void load_cuda_runtime();

/// Makes the C library keep freed memory for the next allocation (a process-wide setting).
///
/// By default glibc returns every block of 32 MiB or more to the kernel at once, and the next
/// training step pages each activation in anew: half of a step's time with activations of 50 MB,
/// 5 to 7 % with smaller ones. Programs call it early in main(). The price: memory stays at its
/// peak, and large blocks share one heap, whose gaps count too (1.7 times the memory was seen).
void keep_freed_memory();

/// auto (CUDA where there is one), cpu, cuda or cuda:N. Throws UserError for another name, for CUDA
/// where there is none (saying why), and for an N too high. `index`: the GPU that auto and cuda
/// mean, that of the process among several of a machine.
at::Device resolve_device(const std::string& name, int index = 0);

/// Most memory ever in use: of the process on the CPU, of LibTorch's allocator on a CUDA device.
/// 0 when unknown.
std::int64_t peak_memory_bytes(at::Device device);

}  // namespace cdm
