// SPDX-License-Identifier: MIT
// Attributes of functions that are compiled for the CPU and, by nvcc, for the GPU.
#pragma once

#ifdef __CUDACC__
#define CDM_HOST_DEVICE __host__ __device__
// For functions called in inner loops. For the GPU alone when nvcc compiles them.
#define CDM_INLINE __device__ __forceinline__
#else
#define CDM_HOST_DEVICE
#define CDM_INLINE inline __attribute__((always_inline))
#endif
// Inlines a lambda: stands between its parameters and its body.
#define CDM_ALWAYS __attribute__((always_inline))
