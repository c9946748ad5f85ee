// SPDX-License-Identifier: MIT
// What arithmetic that runs on both processors is marked with.
#pragma once

#ifdef __CUDACC__
#define CDM_HOST_DEVICE __host__ __device__
// The inside of loops: on the device when nvcc compiles it, on the host otherwise.
#define CDM_INLINE __device__ __forceinline__
#else
#define CDM_HOST_DEVICE
#define CDM_INLINE inline __attribute__((always_inline))
#endif
// The same for lambdas, between their arguments and their body.
#define CDM_ALWAYS __attribute__((always_inline))
