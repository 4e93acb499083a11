// Convolution of a vector field with a symmetric kernel by FFT.  `native.py` compiles this, `plans.py` calls it and says what is what.
//
// A tile holds the same number of W lines side by side, in two registers, so that each operation below transforms W lines at once.
// Forward transforms (decimation in frequency) leave the frequencies in the order that falls out, backward ones (decimation in time)
// start from that order: nothing is sorted.  Of an axis that is padded to twice its length, zeros are neither stored nor added.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "registers.h"

constexpr int PACK = 16;  // lines that the kernel keeps side by side, whatever W is

// The first `count` numbers, then zeros.
template <class T> INLINE Vector<T> load(const T* from, long count) {
    if (count >= W<T>) return load(from);
    Vector<T> v{};
    if (count > 0) std::memcpy(&v, from, count * sizeof(T));
    return v;
}

template <class T> INLINE void store(T* to, Vector<T> v, long count = W<T>) {
    if (count >= W<T>) std::memcpy(to, &v, sizeof v);
    else if (count > 0) std::memcpy(to, &v, count * sizeof(T));
}

template <class T> INLINE Vector<T> pick(Vector<T> a, Vector<T> b, typename Register<T>::index from) {
#ifdef __clang__
    Vector<T> v;
    for (int l = 0; l < W<T>; ++l) v[l] = from[l] < W<T> ? a[from[l]] : b[from[l] - W<T>];
    return v;
#else
    return __builtin_shuffle(a, b, from);
#endif
}

// W vectors, the rows of a square matrix, transposed: blocks of two rows and columns, of four, and so on.
template <class T, int S = 1> INLINE void transpose(Vector<T>* rows) {
    if constexpr (S < W<T>) {
        typename Register<T>::index low{}, high{};
        for (int l = 0; l < W<T>; ++l) low[l] = (l & S) ? W<T> + l - S : l, high[l] = (l & S) ? W<T> + l : l + S;
        for (int i = 0; i < W<T>; ++i)
            if (!(i & S)) {
                Vector<T> a = rows[i], b = rows[i + S];
                rows[i] = pick<T>(a, b, low), rows[i + S] = pick<T>(a, b, high);
            }
        transpose<T, 2 * S>(rows);
    }
}

template <class T> struct Complex {
    Vector<T> re, im;
    friend INLINE Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
    friend INLINE Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
    friend INLINE Complex operator*(T s, Complex a) { return {s * a.re, s * a.im}; }
};

// a times -i or, BACK, i.
template <bool BACK, class T> INLINE Complex<T> turn(Complex<T> a) {
    return BACK ? Complex<T>{-a.im, a.re} : Complex<T>{a.im, -a.re};
}

// a times c - i s or, BACK, c + i s.
template <bool BACK, class T> INLINE Complex<T> rotate(Complex<T> a, T c, T s) {
    if (BACK) s = -s;
    return {c * a.re + s * a.im, c * a.im - s * a.re};
}

// Cosine and sine of 2 pi j / R.
template <int R> struct Circle;
template <> struct Circle<3> {
    static constexpr double c[] = {1, -0.4999999999999998};
    static constexpr double s[] = {0, 0.8660254037844387};
};
template <> struct Circle<5> {
    static constexpr double c[] = {1, 0.30901699437494745, -0.8090169943749473};
    static constexpr double s[] = {0, 0.9510565162951535, 0.5877852522924732};
};
template <> struct Circle<7> {
    static constexpr double c[] = {1, 0.6234898018587336, -0.22252093395631434, -0.900968867902419};
    static constexpr double s[] = {0, 0.7818314824680298, 0.9749279121818236, 0.43388373911755823};
};

// R numbers, in place, to sum_j a_j exp(-+ 2 pi i j q / R).
template <int R, bool BACK, class T> INLINE void butterfly(Complex<T>* a) {
    if constexpr (R == 2) {
        Complex<T> b = a[0] - a[1];
        a[0] = a[0] + a[1], a[1] = b;
    } else if constexpr (R == 4) {
        Complex<T> even = a[0] + a[2], odd = a[1] + a[3], d = a[0] - a[2], e = turn<BACK>(a[1] - a[3]);
        a[0] = even + odd, a[1] = d + e, a[2] = even - odd, a[3] = d - e;
    } else if constexpr (R == 8) {
        Complex<T> even[4] = {a[0], a[2], a[4], a[6]}, odd[4] = {a[1], a[3], a[5], a[7]};
        butterfly<4, BACK>(even), butterfly<4, BACK>(odd);
        const T c = T(M_SQRT1_2);
        odd[1] = c * (odd[1] + turn<BACK>(odd[1])), odd[2] = turn<BACK>(odd[2]), odd[3] = c * (turn<BACK>(odd[3]) - odd[3]);
        for (int q = 0; q < 4; ++q) a[q] = even[q] + odd[q], a[q + 4] = even[q] - odd[q];
    } else {
        Complex<T> sum[R / 2], difference[R / 2], first = a[0];
        for (int j = 0; j < R / 2; ++j) {
            sum[j] = a[j + 1] + a[R - 1 - j], difference[j] = a[j + 1] - a[R - 1 - j];
            a[0] = a[0] + sum[j];
        }
        for (int q = 1; q <= R / 2; ++q) {
            Complex<T> even = first, odd{};
            for (int j = 1; j <= R / 2; ++j) {
                const int turns = j * q % R;
                const bool beyond = turns > R / 2;
                const T c = T(Circle<R>::c[beyond ? R - turns : turns]), s = T(Circle<R>::s[beyond ? R - turns : turns]);
                even = even + c * sum[j - 1], odd = odd + (beyond ? -s : s) * difference[j - 1];
            }
            odd = turn<BACK>(odd);
            a[q] = even + odd, a[R - q] = even - odd;
        }
    }
}

// The transform of one length, of numbers that are zero from n on.
template <class T> class Fft {
    struct Pass {
        int radix, span;  // numbers in a butterfly; those of the transforms that this is the first (backwards, the last) pass of
        size_t twiddles;
    };
    std::vector<Pass> passes;
    std::vector<T> twiddles;  // of each pass (k, q): cosine and sine of 2 pi k q / span

public:
    int length, n, stored;      // `stored`: how many numbers of a tile in space are read or written
    std::vector<int> position;  // of each frequency, in a tile after a forward transform

    Fft(int n, int length, const int*& numbers) : length(length), n(n), stored(length), position(length) {
        int rest = length;
        for (int i = *numbers++; i > 0; --i, ++numbers) {
            const int m = rest / *numbers;
            passes.push_back({*numbers, rest, twiddles.size()});
            for (int k = 0; k < m; ++k)
                for (int q = 1; q < *numbers; ++q) {
                    const double angle = 2 * M_PI * (long(k) * q % rest) / rest;
                    twiddles.push_back(T(std::cos(angle))), twiddles.push_back(T(std::sin(angle)));
                }
            rest = m;
        }
        for (int& p : position) p = *numbers++;
        if (!passes.empty() && passes[0].radix % 2 == 0 && 2 * n <= length) stored = length / 2;
    }

    // To be called once the first n numbers are there.
    void forward(Complex<T>* tile) const {
        for (int i = n; i < stored; ++i) tile[i] = Complex<T>{};
        for (size_t i = 0; i < passes.size(); ++i) run<false>(passes[i], tile, i == 0 && stored < length);
    }

    void backward(Complex<T>* tile) const {
        for (size_t i = passes.size(); i-- > 0;) run<true>(passes[i], tile, i == 0 && stored < length);
    }

private:
    template <bool BACK> void run(Pass pass, Complex<T>* tile, bool half) const {
        switch (pass.radix) {
            case 2: half ? sweep<2, 1, BACK>(pass, tile) : sweep<2, 2, BACK>(pass, tile); break;
            case 4: half ? sweep<4, 2, BACK>(pass, tile) : sweep<4, 4, BACK>(pass, tile); break;
            case 8: half ? sweep<8, 4, BACK>(pass, tile) : sweep<8, 8, BACK>(pass, tile); break;
            case 3: sweep<3, 3, BACK>(pass, tile); break;
            case 5: sweep<5, 5, BACK>(pass, tile); break;
            case 7: sweep<7, 7, BACK>(pass, tile); break;
        }
    }

    // USED: how many of the R numbers of a butterfly are stored.
    template <int R, int USED, bool BACK> void sweep(Pass pass, Complex<T>* tile) const {
        const int m = pass.span / R;
        for (Complex<T>* block = tile; block < tile + length; block += pass.span) {
            const T* w = twiddles.data() + pass.twiddles;
            for (int k = 0; k < m; ++k, w += 2 * (R - 1)) {
                Complex<T> a[R] = {};
                if constexpr (!BACK) {
                    for (int j = 0; j < USED; ++j) a[j] = block[k + j * m];
                    butterfly<R, false>(a);
                    block[k] = a[0];
                    for (int q = 1; q < R; ++q) block[k + q * m] = rotate<false>(a[q], w[2 * q - 2], w[2 * q - 1]);
                } else {
                    a[0] = block[k];
                    for (int q = 1; q < R; ++q) a[q] = rotate<true>(block[k + q * m], w[2 * q - 2], w[2 * q - 1]);
                    butterfly<R, true>(a);
                    for (int j = 0; j < USED; ++j) block[k + j * m] = a[j];
                }
            }
        }
    }
};

template <class T> struct Memory {
    T* data;
    explicit Memory(size_t count) : data(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 127) / 64 * 64))) {}
    ~Memory() { std::free(data); }
    Memory(const Memory&) = delete;
};

static long up(long number, long step) { return (number + step - 1) / step * step; }

template <class T> class Convolution {
    Fft<T> fx, fy, fz;
    int rows;  // of the kernel
    bool odd;
    T scale;
    T weight[2][3][3] = {};  // of (target, origin), at frequencies of z that the kernel keeps and at their mirror images
    int row[3][3] = {};
    long nx, ny, nz, columns, stride, half, kept, component, plane;
    // Of each axis, what is put around the result: nothing, zeros on both sides (OPEN), or one periodic image before it.
    enum Around { NOTHING, OPEN, PERIODIC };
    int around[3];
    long wide[3], before[3];  // with that: lengths, and where the result begins
    bool nodal;               // x is given at the nodes, and averaged over the corners of each cell
    long given[3];            // lengths of x

public:
    explicit Convolution(const int* numbers, const int* n, const int* length)
        : fx(n[0], length[0], numbers), fy(n[1], length[1], numbers), fz(n[2], length[2], numbers) {
        nx = n[0], ny = n[1], nz = n[2];
        columns = ny * nz;
        stride = up(columns, PACK) + PACK;  // not a power of two, which few sets of a cache would hold
        half = length[0] / 2 + 1, kept = length[2] / 2 + 1;
        component = half * stride;
        plane = ny > 1 ? length[1] * up(nz, W<T>) : 0;
        rows = *numbers++, odd = *numbers++;
        scale = T(0.5 / (double(length[0]) * length[1] * length[2]));
        const int* mirror = numbers + 1 + 4 * *numbers;
        for (int axis = 0; axis < 3; ++axis) {
            around[axis] = mirror[rows + axis], before[axis] = around[axis] != NOTHING;
            wide[axis] = n[axis] + before[axis] + (around[axis] == OPEN);
        }
        nodal = mirror[rows + 3];
        for (int axis = 0; axis < 3; ++axis) {
            given[axis] = n[axis] + (nodal && around[axis] == OPEN);
            if (nodal && around[axis] != NOTHING) scale *= T(0.5);
        }
        for (int i = *numbers++; i > 0; --i, numbers += 4)
            for (int image = 0; image < 2; ++image) {
                row[numbers[0]][numbers[1]] = numbers[2];
                weight[image][numbers[0]][numbers[1]] = T(numbers[3] * (image ? mirror[numbers[2]] : 1));
            }
    }

    long size() const { return 3 * given[0] * given[1] * given[2]; }
    long result() const { return 3 * wide[0] * wide[1] * wide[2]; }
    long workspace() const { return 6 * component + PACK; }  // a register's worth is read beyond the end

    // One sample (3, nx, ny, nz); `spectrum` has workspace() numbers.
    void sample(const T* x, const T* kernel, T* found, T* spectrum, int threads) const {
        const long pairs = (3 * blocks() + 1) / 2, packs = up(ny > 1 ? fy.length : half, PACK) / PACK;
        const long planes = ny > 1 ? half : packs, size = (ny > 1 ? packs : 1) * PACK * rows * kept;
#pragma omp parallel num_threads(threads) if (threads > 1)
        {
            Memory<Complex<T>> memory(std::max(fx.length, fy.length + 3 * fz.length));
            Memory<T> middle(6 * plane + PACK);
#pragma omp for schedule(dynamic)
            for (long i = 0; i < pairs; ++i) outward(x, spectrum, 2 * i, memory.data);
#pragma omp for schedule(dynamic)
            for (long i = 0; i < planes; ++i) {
                if (ny > 1) through(spectrum + i * stride, kernel + i * size, memory.data, middle.data);
                else lines(spectrum + i * PACK * stride, component, stride, std::min<long>(PACK, half - i * PACK), kernel + i * size, memory.data);
            }
#pragma omp for schedule(dynamic)
            for (long i = 0; i < pairs; ++i) homeward(spectrum, found, 2 * i, memory.data);
#pragma omp for schedule(static)
            for (long i = 0; i < (before[0] + before[1] + before[2] ? 3 * wide[0] : 0); ++i) surround(found, i);
        }
    }

private:
    struct Block {
        long axis, column, in_spectrum, left;  // left: columns from here on
        Block(const Convolution& c, long number) {
            const long last = 3 * c.blocks() - 1;
            axis = std::min(number, last) / c.blocks(), column = std::min(number, last) % c.blocks() * W<T>;
            in_spectrum = axis * c.component + column;
            left = number > last ? 0 : c.columns - column;
        }
    };

    // Where a block's columns are in space: runs of neighbours, each within a row along z.
    struct Places {
        struct { long at, column, count, y; } runs[W<T>];
        int count = 0;
        Places(const Convolution& c, const Block& block, const long* wide, const long* before) {
            const long row = wide[1] * wide[2] == c.columns ? c.columns : c.nz, columns = std::min<long>(W<T>, block.left);
            for (long column = 0; column < columns; column += runs[count++].count) {
                const long y = (block.column + column) / row, z = (block.column + column) % row;
                const long at = ((block.axis * wide[0] + before[0]) * wide[1] + before[1] + y) * wide[2] + before[2] + z;
                runs[count] = {at, column, std::min(row - z, columns - column), y};
            }
        }
        INLINE void put(T* found, Vector<T> v) const {
            if (count == 1) return store<T>(found + runs[0].at, v, runs[0].count);
            T lanes[W<T>];
            store<T>(lanes, v);
            for (int i = 0; i < count; ++i) std::memcpy(found + runs[i].at, lanes + runs[i].column, runs[i].count * sizeof(T));
        }
    };

    // The same of x; at nodes the corners of each column, in a sheet normal to x, are added.
    struct Corners : Places {
        bool along_y, along_z;
        long above[W<T>], read[W<T>];  // of each run: where the nodes beyond in y are; how many numbers to read, a register's if they are there
        Corners(const Convolution& c, const Block& block) : Places(c, block, c.given, std::array<long, 3>{}.data()) {
            along_y = c.nodal && c.around[1] != NOTHING, along_z = c.nodal && c.around[2] != NOTHING;
            const long sheet = c.given[1] * c.given[2];
            for (int i = 0; i < this->count; ++i) {
                above[i] = along_y ? c.given[2] * (this->runs[i].y + 1 < c.given[1] ? 1 : 1 - c.given[1]) : 0;
                const long last = this->runs[i].at % sheet + std::max(above[i], 0L) + along_z;
                read[i] = last + W<T> <= sheet ? W<T> : this->runs[i].count;
            }
        }
        INLINE Vector<T> get(const T* x) const {
            if (this->count == 1) return row(x, 0);
            T lanes[W<T>] = {};
            for (int i = 0; i < this->count; ++i) store<T>(lanes + this->runs[i].column, row(x, i), this->runs[i].count);
            return load(lanes);
        }
        INLINE Vector<T> row(const T* x, int i) const {
            const T* at = x + this->runs[i].at;
            const long count = read[i];
            Vector<T> sum = load(at, count);
            if (along_z) sum += load(at + 1, count);
            if (along_y) sum += load(at + above[i], count);
            if (along_y && along_z) sum += load(at + above[i] + 1, count);
            return sum;
        }
    };

    long blocks() const { return (columns + W<T> - 1) / W<T>; }

    // Along x: a block of W columns is the real part of a tile, the next one its imaginary part.
    void outward(const T* x, T* spectrum, long block, Complex<T>* tile) const {
        const Block a(*this, block), b(*this, block + 1);
        const Corners from_a(*this, a), from_b(*this, b);
        const long sheet = given[1] * given[2];
        if (nodal && around[0] != NOTHING) {
            Complex<T> last{from_a.get(x), from_b.get(x)};
            for (long i = 0; i < nx; ++i) {
                const T* at = x + (i + 1 < given[0] ? i + 1 : 0) * sheet;
                const Complex<T> next{from_a.get(at), from_b.get(at)};
                tile[i] = last + next, last = next;
            }
        } else
            for (long i = 0; i < nx; ++i, x += sheet) tile[i] = {from_a.get(x), from_b.get(x)};
        fx.forward(tile);
        for (long f = 0; f < half; ++f) {
            const Complex<T> u = tile[fx.position[f]], v = tile[fx.position[f ? fx.length - f : 0]];
            T *to_a = spectrum + a.in_spectrum + f * stride, *to_b = spectrum + b.in_spectrum + f * stride;
            store<T>(to_a, u.re + v.re), store<T>(to_a + 3 * component, u.im - v.im);
            if (b.left > 0) store<T>(to_b, u.im + v.im), store<T>(to_b + 3 * component, v.re - u.re);
        }
    }

    void homeward(const T* spectrum, T* found, long block, Complex<T>* tile) const {
        const Block a(*this, block), b(*this, block + 1);
        for (long f = 0; f < half; ++f) {
            const T *from_a = spectrum + a.in_spectrum + f * stride, *from_b = spectrum + b.in_spectrum + f * stride;
            const Complex<T> u{load(from_a), load(from_a + 3 * component)}, v{load(from_b), load(from_b + 3 * component)};
            tile[fx.position[f ? fx.length - f : 0]] = {u.re + v.im, v.re - u.im};
            tile[fx.position[f]] = {u.re - v.im, u.im + v.re};
        }
        fx.backward(tile);
        const Places to_a(*this, a, wide, before), to_b(*this, b, wide, before);
        const long sheet = wide[1] * wide[2];
        for (long i = 0; i < nx; ++i, found += sheet) to_a.put(found, scale * tile[i].re), to_b.put(found, scale * tile[i].im);
    }


    // What is around the result, of one component's sheet normal to x.
    void surround(T* found, long number) const {
        const long x = number % wide[0], row = wide[2], sheet = wide[1] * row;
        T* to = found + number * sheet;
        if (around[0] == OPEN && (x == 0 || x == wide[0] - 1)) return std::fill(to, to + sheet, T(0));
        const T* from = around[0] == PERIODIC && x == 0 ? to + nx * sheet : to;
        for (long y = 0; y < wide[1]; ++y) {
            T* line = to + y * row;
            if (around[1] == OPEN && (y == 0 || y == wide[1] - 1)) {
                std::fill(line, line + row, T(0));
                continue;
            }
            const T* origin = from + (around[1] == PERIODIC && y == 0 ? ny : y) * row + before[2];
            if (origin != line + before[2]) std::copy(origin, origin + nz, line + before[2]);
            if (around[2] != NOTHING) line[0] = around[2] == PERIODIC ? line[nz] : T(0);
            if (around[2] == OPEN) line[row - 1] = T(0);
        }
    }

    // A plane of equal frequency along x: along y, then lines along z, and back.
    void through(T* spectrum, const T* kernel, Complex<T>* tile, T* middle) const {
        const long width = up(nz, W<T>), imaginary = 3 * component;
        for (int c = 0; c < 3; ++c)
            for (long z = 0; z < nz; z += W<T>) {
                const T* from = spectrum + c * component + z;
                for (long y = 0; y < ny; ++y, from += nz) tile[y] = {load(from), load(from + imaginary)};
                fy.forward(tile);
                T* to = middle + c * plane + z;
                for (int p = 0; p < fy.length; ++p, to += width) store<T>(to, tile[p].re), store<T>(to + 3 * plane, tile[p].im);
            }
        for (int p = 0; p < fy.length; p += PACK, kernel += PACK * rows * kept)
            lines(middle + p * width, plane, width, std::min(PACK, fy.length - p), kernel, tile + fy.length);
        for (int c = 0; c < 3; ++c)
            for (long z = 0; z < nz; z += W<T>) {
                const T* from = middle + c * plane + z;
                for (int p = 0; p < fy.length; ++p, from += width) tile[p] = {load(from), load(from + 3 * plane)};
                fy.backward(tile);
                T* to = spectrum + c * component + z;
                for (long y = 0; y < ny; ++y, to += nz) store<T>(to, tile[y].re, nz - z), store<T>(to + imaginary, tile[y].im, nz - z);
            }
    }

    // Lines along z, at most PACK of them: transformed, multiplied, and transformed back.
    void lines(T* from, long component, long step, long count, const T* kernel, Complex<T>* tiles) const {
        for (long line = 0; line < count; line += W<T>, from += W<T> * step, kernel += W<T>) {
            Complex<T>* tile[3];
            for (int c = 0; c < 3; ++c) {
                tile[c] = tiles + c * fz.length;
                turn_in(from + c * component, 3 * component, step, count - line, tile[c]);
                fz.forward(tile[c]);
            }
            const T* k = kernel;
            for (int f = 0; f < kept; ++f, k += rows * PACK) {
                multiply(tile, fz.position[f], k, weight[0]);
                if (f && 2 * f != fz.length) multiply(tile, fz.position[fz.length - f], k, weight[1]);
            }
            for (int c = 0; c < 3; ++c) {
                fz.backward(tile[c]);
                turn_out(tile[c], 3 * component, step, count - line, from + c * component);
            }
        }
    }

    void turn_in(const T* from, long imaginary, long step, long count, Complex<T>* tile) const {
        for (long z = 0; z < nz; z += W<T>) {
            Vector<T> a[W<T>], b[W<T>];
            for (int l = 0; l < W<T>; ++l) {
                const T* at = from + std::min<long>(l, count - 1) * step + z;
                a[l] = load(at), b[l] = load(at + imaginary);
            }
            transpose<T>(a), transpose<T>(b);
            for (int l = 0; l < std::min<long>(W<T>, nz - z); ++l) tile[z + l] = {a[l], b[l]};
        }
    }

    void turn_out(const Complex<T>* tile, long imaginary, long step, long count, T* to) const {
        for (long z = 0; z < nz; z += W<T>) {
            Vector<T> a[W<T>] = {}, b[W<T>] = {};
            for (int l = 0; l < std::min<long>(W<T>, nz - z); ++l) a[l] = tile[z + l].re, b[l] = tile[z + l].im;
            transpose<T>(a), transpose<T>(b);
            for (int l = 0; l < std::min<long>(W<T>, count); ++l)
                store<T>(to + l * step + z, a[l], nz - z), store<T>(to + imaginary + l * step + z, b[l], nz - z);
        }
    }

    INLINE void multiply(Complex<T>** tile, int at, const T* kernel, const T (*weight)[3]) const {
        const Complex<T> x[3] = {tile[0][at], tile[1][at], tile[2][at]};
        for (int target = 0; target < 3; ++target) {
            Complex<T> sum{};
            for (int origin = 0; origin < 3; ++origin)
                if (const T w = weight[target][origin]; w != 0) {
                    const Vector<T> k = w * load(kernel + row[target][origin] * PACK);
                    sum.re += k * x[origin].re, sum.im += k * x[origin].im;
                }
            tile[target][at] = odd ? turn<true>(sum) : sum;
        }
    }
};

template <class T> static void convolve(const void* plan, const void* x, const void* kernel, void* found, void* work, long samples, int threads) {
    const auto& c = *static_cast<const Convolution<T>*>(plan);
    const auto one = [&](long i, int worker, int team) {
        T* to = static_cast<T*>(found) + i * c.result();
        c.sample(static_cast<const T*>(x) + i * c.size(), static_cast<const T*>(kernel), to, static_cast<T*>(work) + worker * c.workspace(), team);
    };
    if (threads > 1 && samples >= threads) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
        for (long i = 0; i < samples; ++i) one(i, omp_get_thread_num(), 1);
    } else {
        for (long i = 0; i < samples; ++i) one(i, 0, threads);
    }
}

extern "C" {
// numbers: of each axis the count of its radices, they, and the positions of its frequencies; rows of the kernel, whether it is odd,
// the count of terms, (target, origin, row, sign) of each, the sign of each row under reflection of z, what is put around the result
// along each axis, and whether x is given at the nodes.
void* plan_float64(const int* numbers, const int* n, const int* length) { return new Convolution<double>(numbers, n, length); }
void* plan_float32(const int* numbers, const int* n, const int* length) { return new Convolution<float>(numbers, n, length); }

// How many numbers of memory a sample takes in the meantime.
long workspace_float64(const void* plan) { return static_cast<const Convolution<double>*>(plan)->workspace(); }
long workspace_float32(const void* plan) { return static_cast<const Convolution<float>*>(plan)->workspace(); }

// x (samples, 3, nx, ny, nz) or at the nodes, found at the cells and what is around them; work: a workspace for each thread, or one if there are fewer samples than threads.
void convolve_float64(const void* plan, const void* x, const void* kernel, void* found, void* work, long samples, int threads) {
    convolve<double>(plan, x, kernel, found, work, samples, threads);
}
void convolve_float32(const void* plan, const void* x, const void* kernel, void* found, void* work, long samples, int threads) {
    convolve<float>(plan, x, kernel, found, work, samples, threads);
}
}
