// SPDX-License-Identifier: MIT
// The device that a program computes on, and the memory it uses there.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace cdm {

/// Loads LibTorch's CUDA libraries when the machine has a GPU that they can use; otherwise does
/// nothing, and resolve_device() says what is missing.
/// Programs link the CPU part of LibTorch only. Call this in main() before anything that uses
/// LibTorch: it looks for CUDA once, when it first needs to know, and keeps the answer.
void load_cuda_runtime();

/// Makes the C library keep freed memory for later allocations. Holds for the whole process;
/// programs call it early in main().
///
/// By default glibc gives every freed block of 32 MiB or more back to the kernel, which has to map
/// and clear the pages of the same activations again in the next training step. That took half of a
/// step's time with activations of 50 MB, and 5 to 7 % with smaller ones. The cost: the memory of
/// the process stays at its peak, and gaps between blocks in the heap add to it (up to 1.7 times
/// the memory was measured).
void keep_freed_memory();

/// The device of that name: "auto" (a GPU if LibTorch can use one, else the CPU), "cpu", "cuda" or
/// "cuda:N". `index` is the number of the GPU that "auto" and "cuda" stand for: the local rank when
/// several processes share a machine. Where there is a driver but no GPU that LibTorch can use,
/// "auto" warns in one line that says why and what would help. Throws UserError for another name,
/// for a GPU when there is none that LibTorch can use (with the same reason), and for a number that
/// is too high.
at::Device resolve_device(const std::string& name, int index = 0);

/// The compute capability of a GPU times 10, as in CMAKE_CUDA_ARCHITECTURES: 90 for 9.0. 0 for
/// another device, and when it is not known.
int compute_capability(at::Device device);

/// Whether the device is a GPU with arithmetic in bf16 (compute capability 8.0 or more).
bool has_bf16(at::Device device);

/// The most memory in use at any time so far, in bytes: of the process for a CPU, of LibTorch's
/// allocator for a GPU. 0 when unknown.
std::int64_t peak_memory_bytes(at::Device device);

}  // namespace cdm
