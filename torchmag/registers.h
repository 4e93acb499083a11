// The vector registers of this machine's processor, and OpenMP where the compiler has none.

#pragma once

#include <cstring>

#ifdef _OPENMP
#include <omp.h>
#else
static inline int omp_get_thread_num() { return 0; }
static inline int omp_get_num_threads() { return 1; }
#endif

#define INLINE inline __attribute__((always_inline))

#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

template <class T> struct Register;
template <> struct Register<double> {
    typedef double type __attribute__((vector_size(BYTES)));
    typedef long long index __attribute__((vector_size(BYTES)));
};
template <> struct Register<float> {
    typedef float type __attribute__((vector_size(BYTES)));
    typedef int index __attribute__((vector_size(BYTES)));
};
template <class T> using Vector = typename Register<T>::type;
template <class T> constexpr int W = BYTES / sizeof(T);

template <class T> INLINE Vector<T> load(const T* from) {
    Vector<T> v;
    std::memcpy(&v, from, sizeof v);
    return v;
}
