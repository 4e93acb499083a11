// Node fields at the midpoints between nodes, and back: the operators of `midpoints.py`.  `native.py` compiles this, `bands.py` makes its tables,
// `stencils.py` calls it.
//
// A grid is seen from one axis as (outer, n, inner).  Each loop runs over memory side by side: along `inner`, or along the axis itself if
// that is the last one.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "registers.h"

template <class T> INLINE void store(T* to, Vector<T> v, long count = W<T>) {
    if (count >= W<T>) return (void)std::memcpy(to, &v, sizeof v);
    T lanes[W<T>];
    std::memcpy(lanes, &v, sizeof v);
    const T* from = lanes;
    // Pieces of known sizes: no call.
    if (count & 8) std::memcpy(to, from, 8 * sizeof(T)), to += 8, from += 8;
    if (count & 4) std::memcpy(to, from, 4 * sizeof(T)), to += 4, from += 4;
    if (count & 2) std::memcpy(to, from, 2 * sizeof(T)), to += 2, from += 2;
    if (count & 1) *to = *from;
}

// The threads that share one field, and this one's part of the work.
struct Team {
    int rank = 0, size = 1;
    void wait() const {
        if (size > 1) {
#pragma omp barrier
        }
    }
    long first(long count) const { return count * rank / size; }
    long last(long count) const { return count * (rank + 1) / size; }

    // Lines along an axis, rows first ... last - 1 of which are alike: ends(line) for the others, inside(line, from, count) of
    // numbers side by side.  Each thread has some lines or, of few lines, parts.
    template <class F, class G> void share(long lines, long alike, F ends, G inside) const {
        if (lines >= size) {
            for (long line = first(lines); line < last(lines); ++line) ends(line), inside(line, 0, alike);
        } else {
            for (long line = 0; line < lines; ++line) {
                if (line % size == rank) ends(line);
                if (const long from = first(alike); from < last(alike)) inside(line, from, last(alike) - from);
            }
        }
        wait();
    }
};

struct Shape {
    long outer, n, inner;
};

// The axes of a field at the nodes.
struct Grid {
    int dim;
    std::vector<long> nodes;
    std::vector<char> periodic;
    long size = 1;

    // numbers: dim, nodes and periodic of each axis.
    explicit Grid(const int*& numbers) : dim(*numbers++) {
        for (int a = 0; a < dim; ++a) nodes.push_back(*numbers++), size *= nodes.back();
        for (int a = 0; a < dim; ++a) periodic.push_back(char(*numbers++));
    }

    long cells(int axis) const { return nodes[axis] - !periodic[axis]; }
    long links(int axis) const { return size / nodes[axis] * cells(axis); }

    Shape shape(int axis) const {
        Shape found{1, nodes[axis], 1};
        for (int a = 0; a < dim; ++a) (a < axis ? found.outer : found.inner) *= a == axis ? 1 : nodes[a];
        return found;
    }
};

// What a row that is not at an end takes of its neighbours, with w_j for each pair of them:
enum Form {
    SUM,         // x[i + base + 1 + j] + x[i + base - j]
    DIFFERENCE,  // x[i + base + 1 + j] - x[i + base - j]
    EVEN,        // (x[i + 1 + j] + x[i - 1 - j]) - 2 x[i]
    ODD,         // x[i + 1 + j] - x[i - 1 - j]
};

// A banded matrix along an axis; of the rows at either end, before `first` and from `last` on, each number is given.
template <class T> class Band {
    struct Edge {
        long row, rows, padded;
        std::vector<int> columns;
        std::vector<T> weights;  // of each column `padded` rows
    };
    int pairs, base, form;
    long first, last;
    T weight[8];
    bool difference;  // rows sum to zero, and what is uniform must give exactly that
    Edge edges[2];

public:
    long in, out;

    bool is_sum() const { return form == SUM; }
    bool is_zero() const { return first >= last && edges[0].columns.empty() && edges[1].columns.empty(); }

    // numbers: pairs, base, form, difference, in, out, first, last, of both ends the count of columns and the columns; reals: w, of both
    // ends the numbers of each row.
    Band(const int*& numbers, const double*& reals) {
        pairs = *numbers++, base = *numbers++, form = *numbers++, difference = *numbers++;
        in = *numbers++, out = *numbers++, first = *numbers++, last = *numbers++;
        for (int j = 0; j < pairs; ++j) weight[j] = T(*reals++);
        for (Edge& edge : edges) {
            edge.row = &edge == edges ? 0 : last, edge.rows = &edge == edges ? first : out - last;
            edge.padded = (edge.rows + W<T> - 1) / W<T> * W<T>;
            for (int count = *numbers++; count > 0; --count) edge.columns.push_back(*numbers++);
            edge.weights.resize(edge.columns.size() * edge.padded);
            for (long i = 0; i < edge.rows; ++i)
                for (size_t c = 0; c < edge.columns.size(); ++c) edge.weights[c * edge.padded + i] = T(*reals++);
        }
    }

    // y = scale B x or, by MODE, y += scale B x, or y = x + scale B x for a square matrix of form EVEN.  With a mask, of 1 and 0 for each number of
    // y, B x counts only where that is 1.
    enum Mode { SET, ADDED, PLUS };
    template <int ADD> void apply(const T* x, T* y, long outer, long inner, T scale, const Team& team, const T* mask = nullptr) const {
        const auto ends = [&](long line) {
            for (const Edge& edge : edges)
                if (mask) masked<ADD>(edge, x + line * in * inner, y + line * out * inner, mask + line * out * inner, inner, scale);
                else if (inner == 1) along<ADD>(edge, x + line * in, y + line * out, scale);
                else
                    for (long i = 0; i < edge.rows; ++i) across<ADD>(edge, i, x + line * in * inner, y + (line * out + edge.row + i) * inner, inner, scale);
        };
        const auto alike = [&](long line, long from, long count) {
            const long to = (line * out + first) * inner + from;
            inside<ADD>(x + (line * in + first + base) * inner + from, y + to, count, inner, scale, mask ? mask + to : nullptr);
        };
        team.share(outer, (last - first) * inner, ends, alike);
    }

    // One row of `inner` numbers side by side.
    void row(const T* x, T* y, long i, long inner) const {
        if (i >= first && i < last) return inside<SET>(x + (i + base) * inner, y, inner, inner, T(1), nullptr);
        const Edge& edge = edges[i >= last];
        across<SET>(edge, i - edge.row, x, y, inner, T(1));
    }

private:
    // x points at what is at offset `base`.
    template <int ADD> void inside(const T* x, T* y, long count, long step, T scale, const T* mask) const {
        switch (8 * form + pairs) {
            case 8 * SUM + 1: return inside<ADD, 1, SUM>(x, y, count, step, scale, mask);
            case 8 * SUM + 2: return inside<ADD, 2, SUM>(x, y, count, step, scale, mask);
            case 8 * SUM + 3: return inside<ADD, 3, SUM>(x, y, count, step, scale, mask);
            case 8 * DIFFERENCE + 1: return inside<ADD, 1, DIFFERENCE>(x, y, count, step, scale, mask);
            case 8 * DIFFERENCE + 2: return inside<ADD, 2, DIFFERENCE>(x, y, count, step, scale, mask);
            case 8 * DIFFERENCE + 3: return inside<ADD, 3, DIFFERENCE>(x, y, count, step, scale, mask);
            case 8 * EVEN + 3: return inside<ADD, 3, EVEN>(x, y, count, step, scale, mask);
            case 8 * EVEN + 4: return inside<ADD, 4, EVEN>(x, y, count, step, scale, mask);
            case 8 * EVEN + 5: return inside<ADD, 5, EVEN>(x, y, count, step, scale, mask);
            case 8 * EVEN + 8: return inside<ADD, 8, EVEN>(x, y, count, step, scale, mask);
            case 8 * ODD + 3: return inside<ADD, 3, ODD>(x, y, count, step, scale, mask);
            case 8 * ODD + 5: return inside<ADD, 5, ODD>(x, y, count, step, scale, mask);
        }
    }

    template <int FORM, class V> static INLINE V pair(const T* x, long j, long step) {
        const auto take = [](const T* from) {
            V v;
            std::memcpy(&v, from, sizeof v);
            return v;
        };
        if (FORM == EVEN) {
            // Of what is uniform exactly 0.
            const V here = take(x);
            return (take(x + (1 + j) * step) + take(x - (1 + j) * step)) - (here + here);
        }
        const V high = take(x + (1 + j) * step), low = take(x - (FORM == ODD ? 1 + j : j) * step);
        return FORM == SUM ? high + low : high - low;
    }

    template <int ADD, int P, int FORM> void inside(const T* x, T* y, long count, long step, T scale, const T* mask) const {
        if (mask) inside<ADD, P, FORM, true>(x, y, count, step, scale, mask);
        else inside<ADD, P, FORM, false>(x, y, count, step, scale, mask);
    }

    template <int ADD, int P, int FORM, bool MASKED> void inside(const T* x, T* y, long count, long step, T scale, const T* mask) const {
        T w[P];
        for (int j = 0; j < P; ++j) w[j] = scale * weight[j];
        const auto found = [&](long k) {
            Vector<T> sum{};
            for (int j = 0; j < P; ++j) sum += w[j] * pair<FORM, Vector<T>>(x + k, j, step);
            return MASKED ? sum * load(mask + k) : sum;
        };
        long k = 0;
        for (; k + W<T> <= count; k += W<T>) store<T>(y + k, ADD == ADDED ? load(y + k) + found(k) : ADD == PLUS ? load(x + k) + found(k) : found(k));
        if (k < count && count >= W<T>) {
            // The last register overlaps the one before.
            const long from = count - W<T>;
            const Vector<T> sum = found(from);
            if (ADD != ADDED) return store<T>(y + from, ADD == PLUS ? load(x + from) + sum : sum);
            T lanes[W<T>];
            store<T>(lanes, sum);
            for (; k < count; ++k) y[k] += lanes[k - from];
            return;
        }
        for (; k < count; ++k) {
            T sum = 0;
            for (int j = 0; j < P; ++j) sum += w[j] * pair<FORM, T>(x + k, j, step);
            if (MASKED) sum *= mask[k];
            y[k] = ADD == ADDED ? y[k] + sum : ADD == PLUS ? x[k] + sum : sum;
        }
    }

    // The rows at one end with a mask, which is 0 but where the axis is periodic; x, y and mask point at a line.
    template <int ADD> void masked(const Edge& edge, const T* x, T* y, const T* mask, long inner, T scale) const {
        for (long i = 0; i < edge.rows; ++i)
            for (long k = 0, at = (edge.row + i) * inner; k < inner; ++k, ++at) {
                T sum = 0;
                for (size_t c = 0; mask[at] != 0 && c < edge.columns.size(); ++c) {
                    const T origin = difference ? x[edge.columns[0] * inner + k] : T(0);
                    sum += scale * edge.weights[c * edge.padded + i] * (x[edge.columns[c] * inner + k] - origin);
                }
                y[at] = ADD == ADDED ? y[at] + sum : ADD == PLUS ? x[at] + sum : sum;
            }
    }

    // The rows at one end of a line in memory.
    template <int ADD> void along(const Edge& edge, const T* x, T* y, T scale) const {
        const int *column = edge.columns.data(), count = int(edge.columns.size());
        const T origin = difference && count ? x[column[0]] : T(0);
        for (long i = 0; i < edge.rows; i += W<T>) {
            const T* weights = edge.weights.data() + i;
            Vector<T> even{}, odd{};
            int c = 0;
            for (; c + 1 < count; c += 2, weights += 2 * edge.padded)
                even += (x[column[c]] - origin) * load(weights), odd += (x[column[c + 1]] - origin) * load(weights + edge.padded);
            if (c < count) even += (x[column[c]] - origin) * load(weights);
            const Vector<T> sum = scale * (even + odd);
            const long rows = std::min<long>(W<T>, edge.rows - i);
            T* to = y + edge.row + i;
            if (ADD == SET) {
                store<T>(to, sum, rows);
            } else {
                T lanes[W<T>];
                store<T>(lanes, sum);
                for (long l = 0; l < rows; ++l) to[l] = (ADD == PLUS ? x[edge.row + i + l] : to[l]) + lanes[l];
            }
        }
    }

    // One of the rows of `inner` lines side by side.
    template <int ADD> void across(const Edge& edge, long i, const T* x, T* __restrict to, long inner, T scale) const {
        if (ADD == SET) std::fill(to, to + inner, T(0));
        if (ADD == PLUS) std::copy(x + (edge.row + i) * inner, x + (edge.row + i + 1) * inner, to);
        for (size_t c = 0; c < edge.columns.size(); ++c) {
            const T w = scale * edge.weights[c * edge.padded + i], *from = x + edge.columns[c] * inner, *origin = x + edge.columns[0] * inner;
            if (w == 0) continue;
            if (difference)
                for (long k = 0; k < inner; ++k) to[k] += w * (from[k] - origin[k]);
            else
                for (long k = 0; k < inner; ++k) to[k] += w * from[k];
        }
    }
};

// Where a body ends along an axis: which of its links, or of its nodes, have `reach` links before and behind them (1), and the others that are
// there, a node with a link on one side at least, each with a row of its own by how many links there are before and behind it.
template <class T> struct Ends {
    struct Odd {
        long place, node, in_line;  // place: of the link or node; node: that itself, or the one before the link
        int row;

        // Whether a thread has the nodes on its line of the axis.
        bool is_of(Shape along, const Team& team) const {
            const long lines = along.inner > 1 ? along.inner : along.outer, own = along.inner > 1 ? in_line % along.inner : node / along.n;
            return own >= team.first(lines) && own < team.last(lines);
        }
    };
    std::vector<T> regular;
    std::vector<Odd> odd;
    bool full;  // whether every link is there

    Ends(Shape shape, bool periodic, const T* weights, int reach, bool of_links) {
        const long inner = shape.inner, links = shape.n - !periodic, places = of_links ? links : shape.n, size = places * inner;
        std::vector<char> there((links + 2 * reach) * inner), before(size), behind(size), run(size);
        regular.resize(shape.outer * size);
        full = std::all_of(weights, weights + shape.outer * links * inner, [](T weight) { return weight > 0; });
        for (long line = 0; line < shape.outer; ++line) {
            // `reach` more links on either side: around a ring, or none.
            for (long i = -reach; i < links + reach; ++i) {
                const long link = periodic ? (i + links * reach) % links : i;
                if (link >= 0 && link < links) positive(weights + (line * links + link) * inner, there.data() + (i + reach) * inner, inner);
            }
            const char* own = there.data() + reach * inner;
            count(own - inner, -inner, reach, before, run);
            count(own + of_links * inner, inner, reach, behind, run);
            mark(own, before.data(), behind.data(), reach, of_links, run.data(), regular.data() + line * size, size);
            for (const char *from = run.data(), *end = from + size, *at = from; (at = static_cast<const char*>(std::memchr(at, 1, end - at))); ++at) {
                const long p = at - from;
                odd.push_back({line * size + p, line * shape.n * inner + p, p, before[p] * (reach + 1) + behind[p]});
            }
        }
    }

private:
    static void positive(const T* weights, char* __restrict there, long count) {
        for (long k = 0; k < count; ++k) there[k] = weights[k] > 0;
    }

    // How many links follow each other, `reach` at the most: of each place the first one is at `link`, the next one a step on.
    static void count(const char* link, long step, int reach, std::vector<char>& counts, std::vector<char>& run) {
        char *__restrict found = counts.data(), *__restrict going = run.data();
        const long size = counts.size();
        std::fill(found, found + size, 0), std::fill(going, going + size, 1);
        for (int j = 0; j < reach; ++j, link += step)
            for (long p = 0; p < size; ++p) going[p] &= link[p], found[p] += going[p];
    }

    static void mark(const char* own, const char* before, const char* behind, int reach, bool of_links, char* __restrict odd, T* __restrict regular, long size) {
        for (long p = 0; p < size; ++p) {
            const char there = of_links ? own[p] : (before[p] != 0) | (behind[p] != 0), whole = there & (before[p] == reach) & (behind[p] == reach);
            odd[p] = there & !whole, regular[p] = whole;
        }
    }
};

// What was made of numbers, kept as long as these are the same at the same place: bodies seldom change from call to call.
template <class T, class Key, class Made> class Kept {
    struct Known {
        std::vector<T> numbers;
        int met = 0;  // so often
        std::shared_ptr<const Made> made;
    };
    static constexpr size_t MOST = size_t(1) << 28;  // bytes of numbers
    std::mutex mutex;
    std::map<Key, Known> known;
    size_t held = 0;

public:
    struct Piece { const T* from; size_t count; };

    // make() is called when the same numbers are met for this time, and may give nothing.
    template <class F> std::shared_ptr<const Made> of(Key key, const std::vector<Piece>& pieces, int time, F make) {
        const std::lock_guard<std::mutex> guard(mutex);
        size_t size = 0;
        for (const Piece& piece : pieces) size += piece.count;
        if (held > MOST && !known.count(key)) known.clear(), held = 0;
        Known& here = known[key];
        bool same = here.numbers.size() == size;
        held += (size - here.numbers.size()) * sizeof(T);
        here.numbers.resize(size);
        T* own = here.numbers.data();
        for (const Piece& piece : pieces) {
            same = same && std::memcmp(own, piece.from, piece.count * sizeof(T)) == 0;
            if (!same) std::copy(piece.from, piece.from + piece.count, own);
            own += piece.count;
        }
        if (!same) here.met = 0, here.made = nullptr;
        if (++here.met == time) here.made = make();
        return here.made;
    }
};

template <class T> std::shared_ptr<const Ends<T>> ends_of(Shape shape, bool periodic, const T* weights, int reach, bool of_links) {
    static Kept<T, std::tuple<const T*, long, long, long, bool, int, bool>, Ends<T>> kept;
    const size_t size = shape.outer * (shape.n - !periodic) * shape.inner;
    return kept.of({weights, shape.outer, shape.n, shape.inner, periodic, reach, of_links}, {{weights, size}}, 1,
                   [&] { return std::make_shared<const Ends<T>>(shape, periodic, weights, reach, of_links); });
}

// What is taken near an end of a body: for each count of links before and behind a place, the weights of `width` nodes, the first one `reach`
// before its own.
template <class T> struct Rows {
    int reach = 0, width = 0;
    std::vector<T> weights;
    std::vector<std::pair<int, int>> ends;  // of each row: the first weight that is not 0, and the one after the last

    Rows() = default;
    // numbers: reach, width, count of all weights; reals: they.
    Rows(const int*& numbers, const double*& reals) {
        reach = *numbers++, width = *numbers++;
        for (int i = *numbers++; i > 0; --i) weights.push_back(T(*reals++));
        for (size_t row = 0; row < weights.size(); row += width) {
            int from = 0, to = width;
            while (from < to && weights[row + from] == 0) ++from;
            while (from < to && weights[row + to - 1] == 0) --to;
            ends.emplace_back(from, to);
        }
    }

    // f(node, weight); nodes may lie beyond an end of a ring.
    template <class F> INLINE void around(const typename Ends<T>::Odd& odd, Shape grid, F f) const {
        const T* row = weights.data() + odd.row * width;
        const long line = grid.n * grid.inner, before = odd.in_line - reach * grid.inner, start = odd.node - reach * grid.inner;
        const auto [from, to] = ends[odd.row];
        if (before + from * grid.inner >= 0 && before + (to - 1) * grid.inner < line) {
            for (int t = from; t < to; ++t) f(start + t * grid.inner, row[t]);
            return;
        }
        for (int t = from; t < to; ++t) {
            long place = before + t * grid.inner;
            while (place < 0) place += line;
            while (place >= line) place -= line;
            f(odd.node - odd.in_line + place, row[t]);
        }
    }
};

// A matrix of few numbers.
template <class T> class Sparse {
    struct Run { long place, node, weight; int count; };  // nodes side by side of one row, and where their weights begin
    std::vector<Run> runs;
    std::vector<T> weights;
    static constexpr int LONGEST = 8;

public:
    struct Entry { long place, node; T weight; };

    explicit Sparse(std::vector<Entry> entries) {
        std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return std::tie(a.place, a.node) < std::tie(b.place, b.node); });
        for (const Entry& entry : entries) {
            const Run* last = runs.empty() ? nullptr : &runs.back();
            if (!last || last->place != entry.place || last->node + last->count != entry.node || last->count == LONGEST)
                runs.push_back({entry.place, entry.node, long(weights.size()), 0});
            ++runs.back().count, weights.push_back(entry.weight);
        }
    }

    // y += A x, each row by one thread, or y += A^T x by the first thread.
    void apply(const T* x, T* y, bool transposed, const Team& team) const {
        if (transposed) {
            for (size_t r = 0; team.rank == 0 && r < runs.size(); ++r) {
                const Run& run = runs[r];
                const T *w = weights.data() + run.weight, value = x[run.place];
                for (int k = 0; k < run.count; ++k) y[run.node + k] += w[k] * value;
            }
            return team.wait();
        }
        size_t from = team.first(runs.size()), to = team.last(runs.size());
        const auto begun = [&](size_t r) { return r > 0 && r < runs.size() && runs[r].place == runs[r - 1].place; };
        while (begun(from)) ++from;
        while (begun(to)) ++to;
        while (from < to) {
            const long place = runs[from].place;
            T sum = 0;
            for (; from < to && runs[from].place == place; ++from) {
                const T *w = weights.data() + runs[from].weight, *at = x + runs[from].node;
                for (int k = 0; k < runs[from].count; ++k) sum += w[k] * at[k];
            }
            y[place] += sum;
        }
        team.wait();
    }
};

// A linear operator, or its transpose, on fields of one component.
template <class T> struct Operator {
    // What is common to all components of a sample.
    struct Body {
        const T* weights[3];
        const T* inverse;
        std::vector<std::shared_ptr<const Ends<T>>> ends;
        std::shared_ptr<const Sparse<T>> difference;  // to the operator of a body without empty cells, where it is known
    };
    bool back, linked;
    Grid grid;

    // numbers: back, linked, those of the grid.
    explicit Operator(const int*& numbers) : back(*numbers++), linked(*numbers++), grid(numbers) {}
    virtual ~Operator() = default;

    // Numbers in a field, in the result or else in what is given; in the memory that a thread takes in the meantime.
    virtual long plane(bool result) const = 0;
    virtual long workspace() const = 0;
    virtual Body body(const T* const* weights, const T* inverse) const = 0;
    virtual void run(const T* x, T* y, const Body& body, T* work, const Team& team) const = 0;
};

// The product of 1 + B_a along some axes, B a multiple of a power of L; of a body with empty cells, where they do not commute, the mean of both
// ways through the axes.
template <class T> class Smooth final : public Operator<T> {
    using Operator<T>::back, Operator<T>::linked;
    std::vector<int> axes;
    std::vector<Band<T>> bands;  // of `axes`
    Rows<T> rows;

public:
    using Operator<T>::grid;
    using typename Operator<T>::Body;

    // numbers: those of an operator, count of axes, and of each: the axis, its band; then the rows.
    Smooth(const int*& numbers, const double*& reals) : Operator<T>(numbers) {
        for (int i = *numbers++; i > 0; --i) axes.push_back(*numbers++), bands.emplace_back(numbers, reals);
        rows = Rows<T>(numbers, reals);
    }

    long plane(bool) const override { return grid.size; }
    long workspace() const override { return 5 * grid.size; }

    Body body(const T* const* weights, const T*) const override {
        Body found{};
        if (linked)
            for (int a : axes) found.ends.push_back(ends_of(grid.shape(a), grid.periodic[a], weights[a], rows.reach, false));
        return found;
    }

    void run(const T* x, T* y, const Body& body, T* work, const Team& team) const override { apply<false>(x, y, body, work, team); }

    bool is_nothing() const { return axes.empty(); }

    // y = S x or, with ADD, y += S x.
    template <bool ADD> void apply(const T* x, T* y, const Body& body, T* work, const Team& team) const {
        // Axes that are too short to be curved are left out.
        std::vector<size_t> curved;
        for (size_t a = 0; a < axes.size(); ++a)
            if (!bands[a].is_zero()) curved.push_back(a);
        if (curved.empty()) return identity<ADD>(x, y, team);
        const bool full = std::all_of(curved.begin(), curved.end(), [&](size_t a) { return is_full(a, body); });
        if (full || curved.size() < 2) return through<ADD>(curved, x, y, body, work, team);
        T *ways[2] = {work, work + grid.size}, *rest = ways[1] + grid.size;
        for (T* way : ways) {
            through<false>(curved, x, way, body, rest, team);
            std::reverse(curved.begin(), curved.end());
        }
        for (long i = team.first(grid.size); i < team.last(grid.size); ++i) y[i] = (ADD ? y[i] : T(0)) + T(0.5) * (ways[0][i] + ways[1][i]);
        team.wait();
    }

private:
    // Whether a body has no empty cells along one of the axes.
    bool is_full(size_t a, const Body& body) const { return !linked || body.ends[a]->full; }

    // One axis after the other; work: 3 fields.
    template <bool ADD> void through(const std::vector<size_t>& order, const T* x, T* y, const Body& body, T* work, const Team& team) const {
        T *one = work, *two = one + grid.size, *rest = two + grid.size;
        for (size_t i = 0; i < order.size(); ++i) {
            const size_t a = order[i];
            const bool last = i + 1 == order.size(), add = ADD && last;
            const Shape along = grid.shape(axes[a]);
            T* to = last ? y : i % 2 ? two : one;
            if (!is_full(a, body)) {
                broken(a, x, to, add, *body.ends[a], rest, team);
            } else if (add) {
                identity<true>(x, to, team);
                bands[a].template apply<Band<T>::ADDED>(x, to, along.outer, along.inner, T(1), team);
            } else {
                bands[a].template apply<Band<T>::PLUS>(x, to, along.outer, along.inner, T(1), team);
            }
            x = to;
        }
    }

    template <bool ADD> void identity(const T* x, T* y, const Team& team) const {
        for (long i = team.first(grid.size); i < team.last(grid.size); ++i) y[i] = ADD ? y[i] + x[i] : x[i];
        team.wait();
    }

    // y = x + B x along one of the axes or, with `add`, that is added; of a body with empty cells.
    void broken(size_t a, const T* x, T* y, bool add, const Ends<T>& ends, T* work, const Team& team) const {
        const Shape along = grid.shape(axes[a]);
        const T* regular = ends.regular.data();
        if (!back) {
            if (add) {
                identity<true>(x, y, team);
                bands[a].template apply<Band<T>::ADDED>(x, y, along.outer, along.inner, T(1), team, regular);
            } else {
                bands[a].template apply<Band<T>::PLUS>(x, y, along.outer, along.inner, T(1), team, regular);
            }
            for (long e = team.first(ends.odd.size()); e < team.last(ends.odd.size()); ++e) {
                const auto& odd = ends.odd[e];
                const T here = x[odd.node];
                rows.around(odd, along, [&](long node, T w) { y[odd.node] += w * (x[node] - here); });
            }
        } else {
            for (long i = team.first(grid.size); i < team.last(grid.size); ++i) {
                work[i] = regular[i] * x[i];
                y[i] = (add ? y[i] : T(0)) + x[i];
            }
            team.wait();
            bands[a].template apply<Band<T>::ADDED>(work, y, along.outer, along.inner, T(1), team);
            for (const auto& odd : ends.odd)
                if (odd.is_of(along, team)) rows.around(odd, along, [&](long node, T w) { y[node] += w * x[odd.node]; });
        }
        team.wait();
    }
};

// From the nodes to the midpoints of some axes.
template <class T> class Stencil final : public Operator<T> {
    using Operator<T>::back, Operator<T>::linked;
    bool moment;
    std::vector<int> axes;               // to be taken
    std::vector<Band<T>> bands, whole, other;  // of `axes`; of a moment with links the same without, and the transpose of the first
    std::vector<std::vector<T>> series;  // (-1)^j c_j of `axes`
    Rows<T> rows;

public:
    using Operator<T>::grid;
    using typename Operator<T>::Body;

    // numbers: those of an operator, moment, count of axes, and of each: the axis, the length of its series, its bands; then the rows.
    Stencil(const int*& numbers, const double*& reals) : Operator<T>(numbers), moment(*numbers++) {
        for (int i = *numbers++; i > 0; --i) {
            axes.push_back(*numbers++);
            std::vector<T> found;
            for (int j = *numbers++; j > 0; --j) found.push_back(T(*reals++));
            series.push_back(found);
            bands.emplace_back(numbers, reals);
            if (linked && moment) whole.emplace_back(numbers, reals), other.emplace_back(numbers, reals);
        }
        rows = Rows<T>(numbers, reals);
    }

    long plane(bool result) const override {
        long size = 1;
        for (int a = 0; a < grid.dim; ++a) size *= result != back && taken(a) ? grid.cells(a) : grid.nodes[a];
        return size;
    }
    long workspace() const override { return linked ? ((1 << axes.size()) + 1) * grid.size : 0; }

    Body body(const T* const* weights, const T* inverse) const override {
        Body found{{weights[0], weights[1], weights[2]}, inverse, {}, {}};
        if (linked && !moment) found.ends = {ends_of(grid.shape(axes[0]), grid.periodic[axes[0]], weights[axes[0]], rows.reach, true)};
        // In three dimensions a cell near a surface differs in 216 numbers, and in a small body most cells are near one.
        if (linked && moment && grid.dim < 3 && int(axes.size()) == grid.dim) found.difference = known_difference(found);
        return found;
    }

    void run(const T* x, T* y, const Body& body, T* work, const Team& team) const override {
        if (!linked) return through(bands, x, y, team);
        if (!moment) return broken(x, y, *body.ends[0], work, team);
        if (!body.difference) return sharpened(x, y, body, work, team);
        through(whole, x, y, team);
        body.difference->apply(x, y, back, team);
    }

    // How many numbers of memory `pull` takes.
    long pull_workspace() const { return ((2 << axes.size()) + 1) * grid.size; }

    // Of a moment with links: from the gradient gy of the result those of x, and added to it those of the links (gf, of each axis) and of their inverse (gg).
    void pull(const T* x, const T* gy, const Body& body, T* gx, T* const* gf, T* gg, T* work, const Team& team) const {
        const long size = grid.size, first = team.first(size), last = team.last(size);
        const int all = (1 << axes.size()) - 1;
        const T* g = body.inverse;
        const auto each = [&](auto f) {
            for (long i = first; i < last; ++i) f(i);
            team.wait();
        };
        T *found = work, *slopes = found + (all + 1) * size, *rest = slopes + (all + 1) * size;
        const auto of = [&](T* fields, int set) { return fields + set * size; };
        T *start = of(found, 0), *end = of(slopes, all), *before = of(slopes, 0);
        if (back) {
            through(bands, x, rest, team);
            each([&](long i) { start[i] = g[i] * rest[i]; });
        } else {
            each([&](long i) { start[i] = x[i]; });
        }
        // The whole product counts where it is divided by g.
        for (int set = 1; set < all + back; ++set)
            for (size_t a = 0, begun = 0; a < axes.size(); ++a)
                if (set >> a & 1) once(a, of(found, set ^ 1 << a), of(found, set), T(1) / T(__builtin_popcount(set)), begun++, body, team);
        if (back) {
            const T* sharp = of(found, all);
            each([&](long i) {
                end[i] = g[i] != 0 ? gy[i] / g[i] : gy[i];
                if (g[i] != 0) gg[i] -= gy[i] * sharp[i] / (g[i] * g[i]);
            });
        } else {
            transposed_means(gy, end, team);
        }
        for (int set = 0; set < all; ++set) each([&](long i) { of(slopes, set)[i] = 0; });
        for (int set = all; set > 0; --set)
            for (size_t a = 0; a < axes.size(); ++a)
                if (set >> a & 1)
                    pull_once(a, of(found, set ^ 1 << a), of(slopes, set), T(1) / T(__builtin_popcount(set)), of(slopes, set ^ 1 << a), gf[axes[a]], gg, body, team);
        if (back) {
            each([&](long i) { gg[i] += before[i] * rest[i], start[i] = g[i] * before[i]; });
            transposed_means(start, gx, team);
        } else {
            each([&](long i) { gx[i] = before[i]; });
        }
    }

private:
    // The transpose of the bands of this plan: means of neighbours along all axes, or what cells give to their corners.
    void transposed_means(const T* x, T* y, const Team& team) const { through(other, x, y, team, !back); }

    // What `once` did to u: from the gradient `given` of its result that of u, added to gu, and those of f and g, added to gf and gg.
    void pull_once(size_t a, const T* u, const T* given, T share, T* gu, T* gf, T* gg, const Body& body, const Team& team) const {
        const Shape along = grid.shape(axes[a]);
        const long n = along.n, inner = along.inner, links = grid.cells(axes[a]);
        const long wide = std::min<long>(inner, 2 * W<T>), pieces = (inner + wide - 1) / wide, room = (n + 1) * wide;
        std::vector<T> memory(13 * room);
        const T s0 = series[a][0], s1 = series[a].size() > 1 ? series[a][1] : T(0);
        for (long piece = team.first(along.outer * pieces); piece < team.last(along.outer * pieces); ++piece) {
            const long o = piece / pieces, from = piece % pieces * wide, many = std::min(wide, inner - from), all = n * many;
            const long node = o * n * inner + from, link = o * links * inner + from;
            T* free = memory.data();
            const auto taken = [&] { return std::exchange(free, free + room); };
            // Lines along the axis side by side: as they are, if there is one, else `many` of them in memory of their own.
            const auto here = [&](const T* x, long rows) -> const T* {
                if (inner == 1) return x;
                T* own = taken();
                for (long i = 0; i < rows; ++i) std::copy(x + i * inner, x + i * inner + many, own + i * many);
                return own;
            };
            const T *x = here(u + node, n), *v = here(given + node, n), *f = here(body.weights[axes[a]] + link, links), *g = here(body.inverse + node, n);
            T *flow = taken(), *other = taken(), *curved = taken(), *term = taken(), *p = taken(), *q = taken(), *of_u = taken(), *of_links = taken(), *of_inverse = taken();
            flows(f, x, flow, n, links, many);
            forwards(x, g, v, flow, s0, s1, share, curved, term, p, all, many);
            flows(f, term, flow, n, links, many), flows(f, p, other, n, links, many);
            std::fill(of_links, of_links + links * many, T(0));
            differences(term, p, of_links, n, links, many);
            backwards(g, v, flow, other, curved, s0, s1, share, of_u, of_inverse, q, all, many);
            if (s1 != 0) {
                flows(f, q, flow, n, links, many);
                differences(x, q, of_links, n, links, many);
                for (long j = 0; j < all; ++j) of_u[j] += flow[j + many] - flow[j];
            }
            const auto add = [&](const T* found, T* to, long rows) {
                if (inner == 1) return added(found, to, rows);
                for (long i = 0; i < rows; ++i) added(found + i * many, to + i * inner, many);
            };
            add(of_u, gu + node, n), add(of_links, gf + link, links), add(of_inverse, gg + node, n);
        }
        team.wait();
    }

    static void added(const T* __restrict x, T* __restrict to, long count) {
        for (long k = 0; k < count; ++k) to[k] += x[k];
    }

    // Of `many` lines of n nodes side by side: f d y on the link before a node, and `many` further on that behind it.
    static void flows(const T* __restrict f, const T* __restrict y, T* __restrict found, long n, long links, long many) {
        for (long j = 0; j < (n - 1) * many; ++j) found[j + many] = f[j] * (y[j + many] - y[j]);
        for (long k = 0; k < many; ++k) {
            const long j = (n - 1) * many + k;
            found[k] = found[j + many] = links == n ? f[j] * (y[k] - y[j]) : T(0);
        }
    }

    static void forwards(const T* __restrict u, const T* __restrict g, const T* __restrict v, const T* __restrict flow, T s0, T s1, T share, T* __restrict curved,
                         T* __restrict term, T* __restrict p, long all, long many) {
        for (long j = 0; j < all; ++j) {
            curved[j] = flow[j + many] - flow[j];
            term[j] = s0 * u[j] + s1 * g[j] * curved[j], p[j] = share * g[j] * v[j];
        }
    }

    static void backwards(const T* __restrict g, const T* __restrict v, const T* __restrict flow, const T* __restrict other, const T* __restrict curved, T s0, T s1, T share,
                          T* __restrict of_u, T* __restrict of_inverse, T* __restrict q, long all, long many) {
        for (long j = 0; j < all; ++j) {
            const T flown = other[j + many] - other[j], own = share * v[j];
            of_inverse[j] = own * (flow[j + many] - flow[j]) + s1 * flown * curved[j];
            of_u[j] = own + s0 * flown, q[j] = s1 * g[j] * flown;
        }
    }

    // of_links -= (d p) (d t), for `many` lines of n nodes side by side.
    static void differences(const T* __restrict t, const T* __restrict p, T* __restrict of_links, long n, long links, long many) {
        for (long j = 0; j < (n - 1) * many; ++j) of_links[j] -= (p[j + many] - p[j]) * (t[j + many] - t[j]);
        for (long k = 0; links == n && k < many; ++k) {
            const long j = (n - 1) * many + k;
            of_links[j] -= (p[k] - p[j]) * (t[k] - t[j]);
        }
    }

    // A moment in a body with empty cells.
    void sharpened(const T* x, T* y, const Body& body, T* work, const Team& team) const {
        T *a = work, *rest = a + grid.size;
        const long first = team.first(grid.size), last = team.last(grid.size);
        if (!back) {
            sharpen(x, a, body, rest, team);
            return through(bands, a, y, team);
        }
        through(bands, x, a, team);
        for (long i = first; i < last; ++i) a[i] *= body.inverse[i];
        team.wait();
        sharpen(a, y, body, rest, team);
        for (long i = first; i < last; ++i) y[i] = body.inverse[i] != 0 ? y[i] / body.inverse[i] : y[i];
        team.wait();
    }

    // `difference` of a body that was met before at the same place, and has not changed: it costs as much as some dozen calls, which a body that
    // changes does not come to.
    std::shared_ptr<const Sparse<T>> known_difference(const Body& body) const {
        static Kept<T, std::pair<const Stencil*, const T*>, Sparse<T>> kept;
        std::vector<typename decltype(kept)::Piece> pieces{{body.inverse, size_t(grid.size)}};
        for (int a = 0; a < grid.dim; ++a) pieces.push_back({body.weights[a], size_t(grid.links(a))});
        return kept.of({this, body.inverse}, pieces, 16, [&]() -> std::shared_ptr<const Sparse<T>> {
            const auto entries = difference(body);
            return long(entries.size()) <= MOST * grid.size ? std::make_shared<const Sparse<T>>(entries) : nullptr;
        });
    }

    // Numbers for each node at the most that are sooner added than the whole is taken without them.
    static constexpr long MOST = 4;

    // Read off what becomes of single numbers, so many at once that no place sees two of them: 1 at every so-manieth node or, with `back`, cell.
    // Ends early with more than MOST for each node.
    std::vector<typename Sparse<T>::Entry> difference(const Body& body) const {
        const int reach = int(series[0].size()), width = 2 * reach + 2;
        long places[3], nodes[3], strides[3], colours[3], cells = 1, all = 1;  // of each axis, as if there were three
        for (int a = 2; a >= 0; --a) {
            const bool is_axis = a < grid.dim;
            nodes[a] = is_axis ? grid.nodes[a] : 1, places[a] = is_axis ? grid.cells(a) : 1;
            strides[a] = all, all *= nodes[a], cells *= places[a];
            const long given = back ? places[a] : nodes[a];
            colours[a] = !is_axis ? 1 : !grid.periodic[a] ? std::min<long>(width, given) : given < 2 * width ? given : width + given % width;
        }
        const auto colour = [&](int a, long i) {
            if (a >= grid.dim || !grid.periodic[a]) return a < grid.dim ? i % width : 0;
            return nodes[a] < 2 * width ? i : i < nodes[a] / width * width ? i % width : width + i % width;
        };
        std::vector<T> x(back ? cells : all), y(plane(true)), full(plane(true)), work(workspace());
        std::vector<typename Sparse<T>::Entry> found;
        const Team alone{};
        for (long which = 0; which < colours[0] * colours[1] * colours[2] && long(found.size()) <= MOST * grid.size; ++which) {
            const long own[3] = {which / (colours[1] * colours[2]), which / colours[2] % colours[1], which % colours[2]};
            const auto is_own = [&](int a, long i) { return colour(a, i) == own[a]; };
            const long* sizes = back ? places : nodes;
            for (long i = 0, at = 0; i < sizes[0]; ++i)
                for (long j = 0; j < sizes[1]; ++j)
                    for (long k = 0; k < sizes[2]; ++k, ++at) x[at] = is_own(0, i) && is_own(1, j) && is_own(2, k);
            sharpened(x.data(), y.data(), body, work.data(), alone);
            through(whole, x.data(), full.data(), alone);
            // Of a cell the nodes around it.
            std::vector<long> around[3];
            for (long i = 0, place = 0; i < places[0]; ++i)
                for (long j = 0; j < places[1]; ++j)
                    for (long k = 0; k < places[2]; ++k, ++place) {
                        const long cell[3] = {i, j, k};
                        bool given = true;
                        for (int a = 0; a < 3; ++a) {
                            around[a].clear();
                            if (back && !is_own(a, cell[a])) given = false;
                            for (int t = a < grid.dim ? -reach : 0; t <= (a < grid.dim ? reach + 1 : 0); ++t) {
                                long node = cell[a] + t;
                                if (a < grid.dim && grid.periodic[a]) node = (node % nodes[a] + nodes[a]) % nodes[a];
                                if (node < 0 || node >= nodes[a] || (!back && !is_own(a, node))) continue;
                                if (std::find(around[a].begin(), around[a].end(), node) == around[a].end()) around[a].push_back(node);
                            }
                        }
                        if (!given || !is_there(cell, body)) continue;
                        for (long p : around[0])
                            for (long q : around[1])
                                for (long r : around[2]) {
                                    const long node = p * strides[0] + q * strides[1] + r * strides[2], at = back ? node : place;
                                    const T difference = y[at] - full[at];
                                    if (std::abs(difference) > 64 * std::numeric_limits<T>::epsilon()) found.push_back({place, node, difference});
                                }
                    }
        }
        return found;
    }

    // Whether a cell may hold a moment: all of its nodes do.
    bool is_there(const long* cell, const Body& body) const {
        for (int corner = 0; corner < 1 << grid.dim; ++corner) {
            long node = 0;
            for (int a = 0; a < grid.dim; ++a) node = node * grid.nodes[a] + (cell[a] + (corner >> a & 1)) % grid.nodes[a];
            if (body.inverse[node] == 0) return false;
        }
        return true;
    }

    bool taken(int axis) const { return std::find(axes.begin(), axes.end(), axis) != axes.end(); }

    // The bands of all axes, each row along the first one in all of them before the next.
    void through(const std::vector<Band<T>>& bands, const T* x, T* y, const Team& team) const { through(bands, x, y, team, back); }

    void through(const std::vector<Band<T>>& bands, const T* x, T* y, const Team& team, bool back) const {
        std::vector<long> sizes(grid.nodes);
        if (back)
            for (int axis : axes) sizes[axis] = grid.cells(axis);
        const auto inner = [&](int axis) {
            long found = 1;
            for (int a = axis + 1; a < grid.dim; ++a) found *= sizes[a];
            return found;
        };
        if (axes.size() == 1) {
            long outer = 1;
            for (int a = 0; a < axes[0]; ++a) outer *= sizes[a];
            return bands[0].template apply<Band<T>::SET>(x, y, outer, inner(axes[0]), T(1), team);
        }
        // Several axes: x is the first of them, or there is one line of it for each of the axes before.
        long outer = 1, size = inner(axes[0]), made = 1;
        for (int a = 0; a < axes[0]; ++a) outer *= sizes[a];
        for (int a = axes[0] + 1; a < grid.dim; ++a) made *= !back && taken(a) ? grid.cells(a) : grid.nodes[a];
        const Band<T>& band = bands[0];
        std::vector<T> memory(2 * grid.size / grid.nodes[axes[0]]);
        T *one = memory.data(), *two = one + memory.size() / 2;
        std::vector<long> now;
        for (long line = team.first(outer * band.out); line < team.last(outer * band.out); ++line) {
            const long o = line / band.out, i = line % band.out;
            now = sizes;
            band.row(x + o * band.in * size, one, i, size);
            const T* from = one;
            for (size_t b = 1; b < axes.size(); ++b) {
                T* to = b + 1 == axes.size() ? y + line * made : b % 2 ? two : one;
                long before = 1, behind = 1;
                for (int a = axes[0] + 1; a < grid.dim; ++a) (a < axes[b] ? before : behind) *= a == axes[b] ? 1 : now[a];
                bands[b].template apply<Band<T>::SET>(from, to, before, behind, T(1), {});
                now[axes[b]] = bands[b].out, from = to;
            }
        }
        team.wait();
    }

    // Along one axis of a body with empty cells: values and slopes.
    void broken(const T* x, T* y, const Ends<T>& ends, T* work, const Team& team) const {
        const Shape along = grid.shape(axes[0]);
        const long size = grid.links(axes[0]);
        if (ends.full) return bands[0].template apply<Band<T>::SET>(x, y, along.outer, along.inner, T(1), team);
        if (!back) {
            bands[0].template apply<Band<T>::SET>(x, y, along.outer, along.inner, T(1), team, ends.regular.data());
            for (long e = team.first(ends.odd.size()); e < team.last(ends.odd.size()); ++e) {
                const auto& odd = ends.odd[e];
                T sum = 0, origin = 0;
                bool begun = false;
                rows.around(odd, along, [&](long node, T w) {
                    if (!begun && !sums()) origin = x[node];
                    begun = true, sum += w * (x[node] - origin);
                });
                y[odd.place] = sum;
            }
            return team.wait();
        }
        for (long i = team.first(size); i < team.last(size); ++i) work[i] = ends.regular[i] * x[i];
        team.wait();
        bands[0].template apply<Band<T>::SET>(work, y, along.outer, along.inner, T(1), team);
        for (const auto& odd : ends.odd)
            if (odd.is_of(along, team)) rows.around(odd, along, [&](long node, T w) { y[node] += w * x[odd.place]; });
        team.wait();
    }

    bool sums() const { return bands[0].is_sum(); }

    // y = S_x S_y S_z x, S = 1 - c1 L + c2 L^2 with the natural L, as the mean over all orders of the axes; work: a field for each part of the axes.
    void sharpen(const T* x, T* y, const Body& body, T* work, const Team& team) const {
        const int all = (1 << axes.size()) - 1;
        for (int set = 1; set <= all; ++set) {
            T* to = set == all ? y : work + (set - 1) * grid.size;
            const T share = T(1) / T(__builtin_popcount(set));
            bool begun = false;
            for (size_t a = 0; a < axes.size(); ++a)
                if (set >> a & 1) {
                    // The axis that is taken last.
                    const int before = set ^ 1 << a;
                    once(a, before ? work + (before - 1) * grid.size : x, to, share, begun, body, team);
                    begun = true;
                }
        }
    }

    // y = share S x, or added to y, along one of the axes: lines side by side, one after the other in memory at most by registers.
    void once(size_t a, const T* x, T* y, T share, bool add, const Body& body, const Team& team) const {
        const Shape along = grid.shape(axes[a]);
        const long n = along.n, inner = along.inner, count = grid.cells(axes[a]);
        const long wide = std::min<long>(inner, 64), pieces = (inner + wide - 1) / wide;
        std::vector<T> memory(2 * n * wide);
        T *curved = memory.data(), *term = curved + n * wide;
        for (long piece = team.first(along.outer * pieces); piece < team.last(along.outer * pieces); ++piece) {
            const long o = piece / pieces, from = piece % pieces * wide, many = std::min(wide, inner - from);
            const T *own = x + o * n * inner + from, *f = body.weights[axes[a]] + o * count * inner + from, *g = body.inverse + o * n * inner + from;
            T* to = y + o * n * inner + from;
            if (series[a].size() == 1) {
                scaled(term, own, series[a][0], nullptr, T(0), n, inner, wide, many);
            } else {
                natural(own, inner, f, g, curved, wide, n, count, inner, many, T(1), false, nullptr);
                scaled(term, own, series[a][0], curved, series[a][1], n, inner, wide, many);
            }
            natural(term, wide, f, g, to, inner, n, count, inner, many, share, add, own);
        }
        team.wait();
    }

    // y = c x + d z on n rows of `many` numbers, those of x `inner` apart.
    static void scaled(T* __restrict y, const T* x, T c, const T* z, T d, long n, long inner, long wide, long many) {
        if (inner == 1) many = n, n = 1;
        for (long i = 0; i < n; ++i, x += inner, y += wide, z += z ? wide : 0) {
            if (z)
                for (long k = 0; k < many; ++k) y[k] = c * x[k] + d * z[k];
            else
                for (long k = 0; k < many; ++k) y[k] = c * x[k];
        }
    }

    // share (origin + L x) on n rows of `many` numbers, to y or added; `step`: from row to row of x; `to`: of y; of the others `inner`.
    static void natural(const T* x, long step, const T* f, const T* g, T* y, long to, long n, long links, long inner, long many, T share, bool add, const T* origin) {
        if (origin) add ? natural<true, true>(x, step, f, g, y, to, n, links, inner, many, share, origin) : natural<true, false>(x, step, f, g, y, to, n, links, inner, many, share, origin);
        else natural<false, false>(x, step, f, g, y, to, n, links, inner, many, share, origin);
    }

    template <bool OWN, bool ADD>
    static void natural(const T* x, long step, const T* f, const T* g, T* y, long to, long n, long links, long inner, long many, T share, const T* origin) {
        const bool wraps = links == n;
        const auto inside = [&](const T* __restrict b, const T* __restrict h, const T* __restrict a, const T* __restrict q, const T* __restrict p,
                                const T* __restrict r, const T* __restrict u, T* __restrict t, long count) {
            for (long k = 0; k < count; ++k) {
                const T found = share * ((OWN ? u[k] : T(0)) + r[k] * (p[k] * (a[k] - h[k]) - q[k] * (h[k] - b[k])));
                t[k] = ADD ? t[k] + found : found;
            }
        };
        if (inner == 1 && n > 2) inside(x, x + 1, x + 2, f, f + 1, g + 1, OWN ? origin + 1 : x, y + 1, n - 2);
        for (long i = 1; inner > 1 && i < n - 1; ++i) {
            const T* h = x + i * step;
            inside(h - step, h, h + step, f + (i - 1) * inner, f + i * inner, g + i * inner, OWN ? origin + i * inner : h, y + i * to, many);
        }
        for (long i : {0L, n - 1}) {
            const bool after = wraps || i + 1 < n, before = wraps || i > 0;
            for (long k = 0; k < many; ++k) {
                const T here = x[i * step + k];
                T sum = 0;
                if (after) sum += f[i * inner + k] * (x[(i + 1) % n * step + k] - here);
                if (before) sum -= f[(i + links - 1) % links * inner + k] * (here - x[(i + n - 1) % n * step + k]);
                const T found = share * ((OWN ? origin[i * inner + k] : T(0)) + g[i * inner + k] * sum);
                y[i * to + k] = ADD ? y[i * to + k] + found : found;
            }
            if (n == 1) break;
        }
    }
};

// A sum of products of two operators along one axis each, over the share of cells along it: y_target += coefficient B x_origin, at last times
// the share of cells that each node has.  Slopes are of what is smoothed along the other axes: as smoothing is symmetric in the shares, and
// the coefficients are numbers, both that of the outer operator and that of the inner one are taken of x.
template <class T> class Local {
    struct Term { int target, origin, axis, band, coefficient, slopes; };
    Grid grid;
    std::vector<Smooth<T>> once, twice;  // of each axis: along the others
    std::vector<Band<T>> bands;
    std::vector<Term> terms;

public:
    // numbers: those of the grid, of each axis those of smoothing once and twice, count of bands and they, count of terms and (target, origin,
    // axis, band, coefficient, how many of the two operators are slopes) of each.
    Local(const int*& numbers, const double*& reals) : grid(numbers) {
        for (int a = 0; a < grid.dim; ++a) once.emplace_back(numbers, reals), twice.emplace_back(numbers, reals);
        for (int i = *numbers++; i > 0; --i) bands.emplace_back(numbers, reals);
        for (int i = *numbers++; i > 0; --i, numbers += 6) terms.push_back({numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]});
    }
    long sample() const { return 3 * grid.size; }
    long workspace() const { return 6 * grid.size; }

    void run(const T* x, const T* coefficients, T* y, T* work, const Team& team) const {
        const long size = grid.size;
        T *smooth = work, *rest = work + size;
        bool begun[3] = {};
        for (int axis = 0; axis < grid.dim; ++axis) {
            const Shape along = grid.shape(axis);
            for (int origin = 0; origin < 3; ++origin)
                for (int slopes = 0; slopes < 3; ++slopes) {
                    const T* from = nullptr;
                    for (const Term& term : terms) {
                        const T c = coefficients[term.coefficient];
                        if (c == 0 || term.axis != axis || term.origin != origin || term.slopes != slopes) continue;
                        if (!from) {
                            const Smooth<T>& taken = (slopes == 2 ? twice : once)[axis];
                            from = x + origin * size;
                            if (slopes && !taken.is_nothing()) taken.run(from, smooth, {}, rest, team), from = smooth;
                        }
                        T* to = y + term.target * size;
                        if (begun[term.target]) bands[term.band].template apply<Band<T>::ADDED>(from, to, along.outer, along.inner, c, team);
                        else bands[term.band].template apply<Band<T>::SET>(from, to, along.outer, along.inner, c, team);
                        begun[term.target] = true;
                    }
                }
        }
        for (int target = 0; target < 3; ++target) {
            T* to = y + target * size;
            if (begun[target]) share(to, team);
            else std::fill(to + team.first(size), to + team.last(size), T(0));
        }
        team.wait();
    }

private:
    // A node at an open end has half of a cell.
    void share(T* y, const Team& team) const {
        for (int a = 0; a < grid.dim; ++a) {
            if (grid.periodic[a]) continue;
            const Shape along = grid.shape(a);
            for (long o = team.first(along.outer); o < team.last(along.outer); ++o)
                for (long i : {0L, along.n - 1}) {
                    T* plane = y + (o * along.n + i) * along.inner;
                    for (long k = 0; k < along.inner; ++k) plane[k] *= T(0.5);
                }
            team.wait();
        }
    }
};

// A sum of outer^T (c * inner x) over terms, c a map at the links of an axis times a scale; of a body that may have empty cells.  Slopes are of what is smoothed along
// the other axes.
template <class T> class Fluxes {
    struct Term { int target, origin, outer, inner, scale, map; };  // outer, inner: 1 for a slope, 0 for a value
    struct Axis {
        int axis;
        Smooth<T> smooth, transposed;
        std::vector<Stencil<T>> there, back;  // of a value and of a slope
        std::vector<Term> terms;

        explicit Axis(const int*& numbers, const double*& reals) : axis(*numbers++), smooth(numbers, reals), transposed(numbers, reals) {
            for (auto* stencils : {&there, &back})
                for (int kind = 0; kind < 2; ++kind) stencils->emplace_back(numbers, reals);
            for (int i = *numbers++; i > 0; --i, numbers += 6) terms.push_back({numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]});
        }
    };
    std::vector<Axis> axes;

public:
    Grid grid;
    std::vector<long> links;  // of each map

    // What is common to all components of a sample, of each axis.
    struct Ending { typename Operator<T>::Body nodes, links; };
    typedef std::vector<Ending> Body;

    // numbers: those of the grid, count of maps, count of axes and of each: itself, the smoothing and its transpose, values and slopes, and
    // their transposes, count of terms and (target, origin, whether outer is a slope, whether inner is, scale, map) of each.
    Fluxes(const int*& numbers, const double*& reals) : grid(numbers), links(*numbers++) {
        for (int i = *numbers++; i > 0; --i) axes.emplace_back(numbers, reals);
        for (const Axis& own : axes)
            for (const Term& term : own.terms) links[term.map] = grid.links(own.axis);
    }
    long sample() const { return 3 * grid.size; }
    long workspace() const { return 13 * grid.size; }

    Body body(const T* const* weights) const {
        Body found;
        for (const Axis& own : axes) found.push_back({own.smooth.body(weights, nullptr), own.there[1].body(weights, nullptr)});
        return found;
    }

    void run(const T* x, const T* scales, const T* const* maps, const Body& body, T* y, T* work, const Team& team) const {
        const long size = grid.size;
        T *parts = work, *flux = parts + 6 * size, *nodes = flux + size, *rest = nodes + size;
        // Components of a direction are often 0.
        const auto is_taken = [&](const Term& term) { return scales[term.scale] != 0; };
        std::fill(y + team.first(3 * size), y + team.last(3 * size), T(0));
        for (size_t a = 0; a < axes.size(); ++a) {
            const Axis& own = axes[a];
            const long first = team.first(grid.links(own.axis)), last = team.last(grid.links(own.axis));
            const auto is_needed = [&](int inner, int origin) {
                return std::any_of(own.terms.begin(), own.terms.end(), [&](const Term& term) {
                    return is_taken(term) && term.inner == inner && term.origin == origin;
                });
            };
            for (int inner = 0; inner < 2; ++inner)
                for (int origin = 0; origin < 3; ++origin) {
                    if (!is_needed(inner, origin)) continue;
                    const T* from = x + origin * size;
                    if (inner && !own.smooth.is_nothing()) own.smooth.run(from, nodes, body[a].nodes, rest, team), from = nodes;
                    own.there[inner].run(from, parts + (3 * inner + origin) * size, body[a].links, rest, team);
                }
            for (int outer = 0; outer < 2; ++outer)
                for (int target = 0; target < 3; ++target) {
                    bool begun = false;
                    for (const Term& term : own.terms) {
                        if (!is_taken(term) || term.outer != outer || term.target != target) continue;
                        const T *c = maps[term.map], *part = parts + (3 * term.inner + term.origin) * size, s = scales[term.scale];
                        if (begun)
                            for (long i = first; i < last; ++i) flux[i] += s * c[i] * part[i];
                        else
                            for (long i = first; i < last; ++i) flux[i] = s * c[i] * part[i];
                        begun = true;
                    }
                    if (!begun) continue;
                    team.wait();
                    own.back[outer].run(flux, nodes, body[a].links, rest, team);
                    T* to = y + target * size;
                    if (outer) {
                        own.transposed.template apply<true>(nodes, to, body[a].nodes, rest, team);
                    } else {
                        for (long i = team.first(size); i < team.last(size); ++i) to[i] += nodes[i];
                        team.wait();
                    }
                }
        }
    }
};

// f(sample, worker, team): each thread has samples of its own, or all share one after the other.
template <class F> static void distribute(long samples, int threads, F f) {
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        const Team all{omp_get_thread_num(), omp_get_num_threads()};
        if (samples < all.size)
            for (long s = 0; s < samples; ++s) f(s, 0, all);
        else
            for (long s = all.first(samples); s < all.last(samples); ++s) f(s, all.rank, Team{});
    }
}

// numbers: whether it is a smoothing; then those of the operator.
template <class T> static void* operator_of(const int* numbers, const double* reals) {
    Operator<T>* found;
    if (*numbers++) found = new Smooth<T>(numbers, reals);
    else found = new Stencil<T>(numbers, reals);
    return found;
}

template <class T> static void run(const void* plan, const T* x, const T* const* weights, const T* inverse, long repeated, T* y, T* work, long samples,
                                   long planes, int threads) {
    const auto& found = *static_cast<const Operator<T>*>(plan);
    const long in = found.plane(false), out = found.plane(true);
    std::vector<typename Operator<T>::Body> bodies;
    for (long s = 0; s < (repeated ? 1 : samples); ++s) {
        const T* own[3] = {};
        for (int a = 0; a < found.grid.dim; ++a)
            if (weights[a]) own[a] = weights[a] + s * found.grid.links(a);
        bodies.push_back(found.body(own, inverse ? inverse + s * found.grid.size : nullptr));
    }
    distribute(samples, threads, [&](long s, int worker, const Team& team) {
        for (long p = s * planes; p < (s + 1) * planes; ++p)
            found.run(x + p * in, y + p * out, bodies[repeated ? 0 : s], work + worker * found.workspace(), team);
    });
}

// gf of each axis and gg are those of a sample, or if `repeated` of all.
template <class T> static void pull(const void* plan, const T* x, const T* gy, const T* const* weights, const T* inverse, long repeated, T* gx, T* const* gf, T* gg,
                                    T* work, long samples, long planes, int threads) {
    const auto& found = *static_cast<const Stencil<T>*>(static_cast<const Operator<T>*>(plan));
    const long in = found.plane(false), out = found.plane(true), size = found.grid.size;
    const auto one = [&](long s, const Team& team, T* own) {
        const long b = repeated ? 0 : s;
        const T* f[3] = {};
        T* g[3] = {};
        for (int a = 0; a < found.grid.dim; ++a) f[a] = weights[a] + b * found.grid.links(a), g[a] = gf[a] + b * found.grid.links(a);
        const typename Operator<T>::Body body{{f[0], f[1], f[2]}, inverse + b * size, {}, {}};
        for (long p = s * planes; p < (s + 1) * planes; ++p) found.pull(x + p * in, gy + p * out, body, gx + p * in, g, gg + b * size, own, team);
    };
    // What samples share is added to by one after the other, each by all threads.
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        const Team all{omp_get_thread_num(), omp_get_num_threads()};
        if (repeated || samples < all.size)
            for (long s = 0; s < samples; ++s) one(s, all, work);
        else
            for (long s = all.first(samples); s < all.last(samples); ++s) one(s, Team{}, work + all.rank * found.pull_workspace());
    }
}

template <class T> static void local(const void* plan, const T* x, const T* coefficients, T* y, T* work, long samples, int threads) {
    const auto& found = *static_cast<const Local<T>*>(plan);
    distribute(samples, threads, [&](long s, int worker, const Team& team) {
        found.run(x + s * found.sample(), coefficients, y + s * found.sample(), work + worker * found.workspace(), team);
    });
}

template <class T> static void fluxes(const void* plan, const T* x, const T* scales, const T* const* maps, const long* shared, const T* const* weights, long repeated, T* y,
                                      T* work, long samples, int threads) {
    const auto& found = *static_cast<const Fluxes<T>*>(plan);
    std::vector<typename Fluxes<T>::Body> bodies;
    for (long s = 0; s < (repeated ? 1 : samples); ++s) {
        const T* own[3] = {};
        for (int a = 0; a < found.grid.dim; ++a)
            if (weights[a]) own[a] = weights[a] + s * found.grid.links(a);
        bodies.push_back(found.body(own));
    }
    distribute(samples, threads, [&](long s, int worker, const Team& team) {
        std::vector<const T*> own;
        for (size_t c = 0; c < found.links.size(); ++c) own.push_back(maps[c] + (shared[c] ? 0 : s * found.links[c]));
        found.run(x + s * found.sample(), scales, own.data(), bodies[repeated ? 0 : s], y + s * found.sample(), work + worker * found.workspace(), team);
    });
}

extern "C" {
void* fluxes_plan_float64(const int* numbers, const double* reals) { return new Fluxes<double>(numbers, reals); }
void* fluxes_plan_float32(const int* numbers, const double* reals) { return new Fluxes<float>(numbers, reals); }

// x (samples, 3, *nodes) -> y likewise.  maps: of each (samples, *links), or if `shared` one of all samples; fx, fy, fz: as of a stencil;
// work: 13 fields for each thread, or once if there are fewer samples than threads.
void fluxes_float64(const void* plan, const double* x, const double* scales, const double* const* maps, const long* shared, const double* const* weights, long repeated,
                    double* y, double* work, long samples, int threads) {
    fluxes<double>(plan, x, scales, maps, shared, weights, repeated, y, work, samples, threads);
}
void fluxes_float32(const void* plan, const float* x, const float* scales, const float* const* maps, const long* shared, const float* const* weights, long repeated, float* y,
                    float* work, long samples, int threads) {
    fluxes<float>(plan, x, scales, maps, shared, weights, repeated, y, work, samples, threads);
}

void* plan_float64(const int* numbers, const double* reals) { return operator_of<double>(numbers, reals); }
void* plan_float32(const int* numbers, const double* reals) { return operator_of<float>(numbers, reals); }
void* local_plan_float64(const int* numbers, const double* reals) { return new Local<double>(numbers, reals); }
void* local_plan_float32(const int* numbers, const double* reals) { return new Local<float>(numbers, reals); }

// x (samples, 3, *nodes) -> y likewise; work: 6 fields for each thread, or once if there are fewer samples than threads.
void local_float64(const void* plan, const double* x, const double* coefficients, double* y, double* work, long samples, int threads) {
    local<double>(plan, x, coefficients, y, work, samples, threads);
}
void local_float32(const void* plan, const float* x, const float* coefficients, float* y, float* work, long samples, int threads) {
    local<float>(plan, x, coefficients, y, work, samples, threads);
}

// x (samples, planes, *grid), gy (samples, planes, *grid of the result) -> gx as x; the gradients of the links of each sample, or if `repeated` of all,
// are added to gfx, gfy, gfz, gg; work: `pull_workspace` numbers for each thread, or once if there are fewer samples than threads.
void pull_float64(const void* plan, const double* x, const double* gy, const double* fx, const double* fy, const double* fz, const double* inverse, long repeated, double* gx,
                  double* gfx, double* gfy, double* gfz, double* gg, double* work, long samples, long planes, int threads) {
    const double* const weights[] = {fx, fy, fz};
    double* const gf[] = {gfx, gfy, gfz};
    pull<double>(plan, x, gy, weights, inverse, repeated, gx, gf, gg, work, samples, planes, threads);
}
void pull_float32(const void* plan, const float* x, const float* gy, const float* fx, const float* fy, const float* fz, const float* inverse, long repeated, float* gx,
                  float* gfx, float* gfy, float* gfz, float* gg, float* work, long samples, long planes, int threads) {
    const float* const weights[] = {fx, fy, fz};
    float* const gf[] = {gfx, gfy, gfz};
    pull<float>(plan, x, gy, weights, inverse, repeated, gx, gf, gg, work, samples, planes, threads);
}
long pull_workspace_float64(const void* plan) { return static_cast<const Stencil<double>*>(static_cast<const Operator<double>*>(plan))->pull_workspace(); }
long pull_workspace_float32(const void* plan) { return static_cast<const Stencil<float>*>(static_cast<const Operator<float>*>(plan))->pull_workspace(); }

// How many numbers of memory a thread takes in the meantime.
long workspace_float64(const void* plan) { return static_cast<const Operator<double>*>(plan)->workspace(); }
long workspace_float32(const void* plan) { return static_cast<const Operator<float>*>(plan)->workspace(); }

// x (samples, planes, *grid) -> y likewise.  fx, fy, fz, inverse: the links of each sample, or if `repeated` of all of them.
void stencil_float64(const void* plan, const double* x, const double* fx, const double* fy, const double* fz, const double* inverse, long repeated, double* y,
                     double* work, long samples, long planes, int threads) {
    const double* const weights[] = {fx, fy, fz};
    run<double>(plan, x, weights, inverse, repeated, y, work, samples, planes, threads);
}
void stencil_float32(const void* plan, const float* x, const float* fx, const float* fy, const float* fz, const float* inverse, long repeated, float* y,
                     float* work, long samples, long planes, int threads) {
    const float* const weights[] = {fx, fy, fz};
    run<float>(plan, x, weights, inverse, repeated, y, work, samples, planes, threads);
}
}
