// All eigen-solvers behind solve_eigen, on one set of problems: they have to agree with the slow reference
// and with each other, and survive what is degenerate.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <thread>

#include "bilens/analysis/eigen/eigen.h"
#include "bilens/analysis/eigen/eigen_plan.h"
#include "bilens/core/error.h"
#include "bilens/core/host.h"
#include "bilens/core/stop.h"
#include "bilens/tensor/device.h"
#include "catch.h"
#include "layers.h"

namespace bilens::solvers_test {

using namespace bilens::test;

namespace {

/// So many threads while it lives.
class Threads {
 public:
  explicit Threads(int count) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }

 private:
  int before_ = at::get_num_threads();
};

EigenConfig config(EigenSolver solver, int64_t k, at::ScalarType dtype = at::kDouble) {
  EigenConfig made;
  made.solver = solver;
  made.k = k;
  made.dtype = dtype;
  made.energy = Energy::kExact;
  return made;
}

EigenPairs solve(const BilinearLayer& layer, const EigenConfig& eigen, const at::Tensor& u = {},
                 const at::Tensor& embed = {}) {
  return solve_eigen({layer, embed, u}, at::kCPU, eigen);
}

/// Tolerances of the two dtypes relative to the spectral norm: residuals as promised; orthogonality 1e-12 and
/// 1e-5.
void check_invariants(const EigenPairs& pairs, const EigenConfig& eigen) {
  const bool exact = eigen.dtype == at::kDouble;
  const auto v = pairs.eigenvectors.to(at::kDouble);
  const auto gram = v.matmul(v.mT());
  CHECK((gram - at::eye(pairs.k(), gram.options())).abs().max().item<double>() < (exact ? 1e-12 : 1e-5));
  CHECK(pairs.residuals.max().item<double>() <= residual_tolerance(eigen));
  CHECK(pairs.converged.all().item<bool>());
  CHECK(v.gather(2, v.abs().argmax(2, true)).gt(0).all().item<bool>());
}

/// Eigenvalues of each matrix by falling |λ|, the first k.
at::Tensor reference(const at::Tensor& matrices, int64_t k) {
  const auto values = std::get<0>(at::linalg_eigh(matrices));
  return values.gather(1, values.abs().argsort(true, 1, true)).narrow(1, 0, k);
}

const std::vector<EigenSolver> kIterative = {EigenSolver::kLanczos, EigenSolver::kFormed};
const std::vector<EigenSolver> kGeneral = {EigenSolver::kDense, EigenSolver::kLanczos, EigenSolver::kFormed};

/// A layer whose single output has the given eigenvalues and a tail of small ones behind: Krylov spaces do
/// not end.
BilinearLayer planted_with_tail(std::vector<double> eigenvalues, int64_t d, uint64_t seed) {
  const auto planted = static_cast<int64_t>(eigenvalues.size());
  for (int64_t i = 0; i < d - planted; ++i)
    eigenvalues.push_back(0.3 * std::cos(1.7 * static_cast<double>(i)));
  return planted_layer(eigenvalues, d, seed);
}

BilinearLayer planted_among_zeros(std::vector<double> eigenvalues, int64_t d, uint64_t seed) {
  eigenvalues.resize(d, 0.0);
  return planted_layer(eigenvalues, d, seed);
}

}  // namespace

TEST_CASE("every solver agrees with the slow reference, in float32 and float64") {
  const auto layer = random_layer(29, 47, 5, true, 21);
  const auto u = random_tensor({4, 5}, 22);
  const auto q = slow_matrices(layer, u);
  for (const auto solver : kGeneral) {
    for (const auto dtype : {at::kDouble, at::kFloat}) {
      INFO(solver_name(solver) << " " << dtype_name(dtype));
      const auto eigen = config(solver, 7, dtype);
      const auto pairs = solve(layer, eigen, u);
      CHECK(pairs.solver == solver);
      check_invariants(pairs, eigen);
      // Rayleigh quotients err by residual²/gap: 1e-20 and some 1e-10 over gaps of 1e-2 of the norm.
      const double norm = pairs.eigenvalues.abs().max().item<double>();
      CHECK((pairs.eigenvalues - reference(q, 7)).abs().max().item<double>() <
            (dtype == at::kDouble ? 1e-13 : 1e-8) * norm);
      CHECK((pairs.trace - q.diagonal(0, 1, 2).sum(1)).abs().max().item<double>() < 1e-13 * norm);
      const auto share =
          pairs.eigenvalues.square().cumsum(1) / q.square().sum(at::IntArrayRef{1, 2}).unsqueeze(1);
      CHECK((pairs.weight_energy - share).abs().max().item<double>() < (dtype == at::kDouble ? 1e-12 : 1e-6));
      // The stated residual bounds that of the stored vectors.
      const auto v = pairs.eigenvectors.to(at::kDouble);
      const auto residual = (v.matmul(q) - pairs.eigenvalues.unsqueeze(2) * v).norm(2, {2});
      const auto sizes = pairs.eigenvalues.abs().amax(1, true);
      CHECK((residual / sizes).le(pairs.residuals * (1 + 1e-6) + 1e-14).all().item<bool>());
    }
  }
}

TEST_CASE("eigenvalues err by the residual's square over the gap to the rest") {
  const auto layer = random_layer(29, 47, 5, true, 21);
  const auto u = random_tensor({4, 5}, 22);
  const auto all = reference(slow_matrices(layer, u), 47);
  const auto kept = all.narrow(1, 0, 7), rest = all.narrow(1, 7, 40), norm = all.abs().amax(1);
  const auto gap = (kept.unsqueeze(2) - rest.unsqueeze(1)).abs().amin(at::IntArrayRef{1, 2}) / norm;
  for (const auto solver : kGeneral) {
    for (const auto dtype : {at::kDouble, at::kFloat}) {
      INFO(solver_name(solver) << " " << dtype_name(dtype));
      const auto pairs = solve(layer, config(solver, 7, dtype), u);
      const double r = dtype == at::kDouble ? 1e-10 : 2e-6;
      // What is stated of stored vectors is r and at most 2.5 eps for their rounding.
      CHECK(pairs.residuals.max().item<double>() < r + 2.5 * machine_epsilon(dtype));
      // Seven vectors with such residuals give 7 r²/g together at most, beside the reference's own rounding.
      const auto off = (pairs.eigenvalues - kept).abs().amax(1) / norm;
      CHECK(off.le(7 * r * r / gap + 1e-13).all().item<bool>());
    }
  }
}

TEST_CASE("directions of few hidden units are solved by QR") {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    const auto layer = random_layer(40, 23, 40, false, 23);
    auto u = at::zeros({3, 40}, at::kDouble);
    u[0][4] = 1.5;
    u[1][7] = -2;
    u[1][39] = 1e-3;
    u[1][1] = 0.5;  // the third is 0
    for (const int64_t k : {int64_t{2}, int64_t{6}, int64_t{9}, int64_t{23}}) {
      const auto eigen = config(EigenSolver::kLowRank, k, dtype);
      const auto pairs = solve(layer, eigen, u);
      INFO("k = " << k << " " << dtype_name(dtype));
      check_invariants(pairs, eigen);
      const auto expected = reference(slow_matrices(layer, u), k);
      CHECK((pairs.eigenvalues - expected).abs().max().item<double>() <
            (dtype == at::kDouble ? 1e-13 : 1e-6));
      const auto dense = solve(layer, config(EigenSolver::kDense, k, dtype), u);
      CHECK((pairs.effective_rank - dense.effective_rank).abs().max().item<double>() < 1e-2);
      CHECK(pairs.tie_at_k.equal(dense.tie_at_k));
    }
  }
  // One hidden unit has the eigenvalues ½(w·v ± ‖w‖‖v‖).
  const auto layer = random_layer(5, 9, 5, false, 24);
  const auto pairs = solve(layer, config(EigenSolver::kAuto, 2));
  CHECK(pairs.solver == EigenSolver::kLowRank);
  const auto dot = (layer.gate * layer.up).sum(1), size = layer.gate.norm(2, {1}) * layer.up.norm(2, {1});
  const auto sum = pairs.eigenvalues.sum(1), spread = (pairs.eigenvalues.amax(1) - pairs.eigenvalues.amin(1));
  CHECK((sum - dot).abs().max().item<double>() < 1e-14);
  CHECK((spread - size).abs().max().item<double>() < 1e-14);
}

TEST_CASE("a layer of few hidden units is reduced before it is solved") {
  const auto layer = random_layer(6, 41, 3, true, 25);
  for (const int64_t k : {int64_t{3}, int64_t{15}}) {  // 12 eigenvalues are not zero
    const auto pairs = solve(layer, config(EigenSolver::kDense, k));
    check_invariants(pairs, config(EigenSolver::kDense, k));
    const auto expected = reference(slow_matrices(layer, at::eye(3, at::kDouble)), k);
    CHECK((pairs.eigenvalues - expected).abs().max().item<double>() < 1e-13);
  }
}

TEST_CASE("over the input the iterative solvers agree with the dense one") {
  const auto layer = random_layer(30, 25, 4, true, 26);
  const auto embed = random_tensor({25, 60}, 27) / 5;
  const auto dense = solve(layer, config(EigenSolver::kDense, 5), {}, embed);
  for (const auto solver : kIterative) {
    const auto pairs = solve(layer, config(solver, 5), {}, embed);
    check_invariants(pairs, config(solver, 5));
    CHECK((pairs.eigenvalues - dense.eigenvalues).abs().max().item<double>() < 1e-12);
    CHECK((pairs.frobenius - dense.frobenius).abs().max().item<double>() < 1e-12);
    CHECK((pairs.eigenvectors - dense.eigenvectors).abs().max().item<double>() < 1e-7);
  }
}

TEST_CASE("the probe finds copies of a multiple eigenvalue that one Krylov space cannot hold") {
  const auto layer = planted_with_tail({2.0, 2.0, 2.0, -1.5, 1.0, 0.8, 0.6}, 151, 31);
  const auto expected = at::tensor({2.0, 2.0, 2.0}, at::kDouble);
  for (const auto solver : kIterative) {
    for (const auto dtype : {at::kDouble, at::kFloat}) {
      INFO(solver_name(solver) << " " << dtype_name(dtype));
      auto eigen = config(solver, 3, dtype);
      eigen.tolerance = 5e-6;  // soon reached: rounding has no time to bring the copies in by itself
      const auto pairs = solve(layer, eigen);
      CHECK(pairs.converged.item<int>() == 1);
      CHECK((pairs.eigenvalues[0] - expected).abs().max().item<double>() < 1e-9);
      CHECK(pairs.cluster[0][0].item<int>() == pairs.cluster[0][2].item<int>());
      CHECK(pairs.vector_error[0][1].item<double>() > 1e-3);
      if (dtype == at::kFloat) continue;  // there rounding brings the copies in by itself
      CHECK(pairs.repaired == 1);
      eigen.probe = false;
      CHECK((solve(layer, eigen).eigenvalues[0] - expected).abs().max().item<double>() > 0.1);
    }
  }
}

TEST_CASE("the adversarial set, by the iterative solvers") {
  const int64_t d = 53;
  for (const auto solver : kIterative) {
    for (const auto dtype : {at::kDouble, at::kFloat}) {
      INFO(solver_name(solver) << " " << dtype_name(dtype));
      const double small = dtype == at::kDouble ? 1e-12 : 1e-6;
      const auto check_values = [&](const BilinearLayer& layer, const std::vector<double>& expected) {
        const auto eigen = config(solver, static_cast<int64_t>(expected.size()), dtype);
        const auto pairs = solve(layer, eigen);
        check_invariants(pairs, eigen);
        CHECK((pairs.eigenvalues[0] - at::tensor(expected, at::kDouble)).abs().max().item<double>() < small);
        return pairs;
      };
      check_values(planted_among_zeros({-2.0}, d, 41), {-2.0, 0.0, 0.0});  // rank 1, k beyond it
      check_values(planted_with_tail({3.0, -3.0, 1.0, -1.0}, d, 42),
                   {3.0, -3.0, 1.0, -1.0});  // exact ± pairs
      check_values(planted_among_zeros({2.0, -1.0, 0.5}, d, 43),
                   {2.0, -1.0, 0.5, 0.0, 0.0});                                          // 2p < d, k ≥ rank
      check_values(planted_layer({2.0, -1.0, 0.5}, d, 43), {2.0, -1.0, 0.5, 0.0, 0.0});  // reduced to 6 first
      const auto cut = check_values(planted_with_tail({3.0, 2.0, 2.0, 1.0}, d, 44), {3.0, 2.0});
      CHECK(cut.tie_at_k.item<int>() == 1);
      const auto clear = check_values(planted_with_tail({3.0, 2.0, 1.0}, d, 45), {3.0, 2.0});
      CHECK(clear.tie_at_k.item<int>() == 0);
      CHECK(clear.vector_error.max().item<double>() < 1e-3);

      auto layer = random_layer(30, d, 2, true, 46);
      const auto u = at::cat({at::zeros({1, 2}, at::kDouble), random_tensor({1, 2}, 47)});
      const auto mixed = solve(layer, config(solver, 4, dtype), u);  // u = 0
      check_invariants(mixed, config(solver, 4, dtype));
      CHECK(mixed.eigenvalues[0].abs().max().item<double>() == 0.0);
      CHECK(mixed.weight_energy[0].eq(1).all().item<bool>());

      layer.up = layer.gate.clone();  // W = V
      layer.down = layer.down.abs();
      CHECK(solve(layer, config(solver, 4, dtype)).eigenvalues.gt(0).all().item<bool>());
      layer.up = -layer.gate;  // W = −V
      CHECK(solve(layer, config(solver, 4, dtype)).eigenvalues.lt(0).all().item<bool>());
      layer.gate.zero_();
      check_invariants(solve(layer, config(solver, 4, dtype)), config(solver, 4, dtype));
    }
  }
}

TEST_CASE("scales of 1e30 and 1e-30 change eigenvalues alone, by every solver") {
  const auto base = random_layer(20, 45, 3, true, 51);
  for (const auto solver : kGeneral) {
    for (const auto dtype : {at::kDouble, at::kFloat}) {
      const auto expected = solve(base, config(solver, 4, dtype));
      for (const double scale : {1e30, 1e-30}) {
        auto layer = base;
        layer.gate = base.gate * scale;
        layer.up = base.up * scale;
        const auto pairs = solve(layer, config(solver, 4, dtype));
        INFO(solver_name(solver) << " " << dtype_name(dtype) << " " << scale);
        check_invariants(pairs, config(solver, 4, dtype));
        CHECK((pairs.eigenvalues / (scale * scale) - expected.eigenvalues).abs().max().item<double>() < 1e-6);
      }
    }
  }
}

TEST_CASE(
    "iterative results do not depend on chunks, on the order of directions, or on threads beyond rounding") {
  const auto layer = random_layer(60, 83, 9, true, 61);
  const auto u = random_tensor({7, 9}, 62);
  const auto eigen = config(EigenSolver::kLanczos, 5);
  auto small = eigen;
  small.memory_limit = 1;  // one direction at a time
  const auto whole = solve(layer, eigen, u);
  const double bound = 50 * 2.2e-16 * whole.eigenvalues.abs().max().item<double>();
  CHECK((whole.eigenvalues - solve(layer, small, u).eigenvalues).abs().max().item<double>() < bound);
  CHECK((whole.eigenvalues - solve(layer, eigen, u.flip(0)).eigenvalues.flip(0)).abs().max().item<double>() <
        bound);
  const Threads one(1);
  const auto single = solve(layer, eigen, u);
  CHECK((whole.eigenvalues - single.eigenvalues).abs().max().item<double>() < bound);
}

TEST_CASE("directions of a small layer are solved in parts, one a thread, as on one thread") {
  const auto layer = random_layer(40, 70, 71, true, 65);
  auto eigen = config(EigenSolver::kLanczos, 5);
  eigen.certify = eigen.estimate_rank = true;
  const auto parts = [&](const EigenSizes& sizes, const EigenConfig& of) {
    return plan_eigen(sizes, at::kCPU, of).parts;
  };
  const auto sizes = eigen_sizes({layer, {}, {}}, 5);
  EigenPairs single;
  {
    const Threads one(1);
    CHECK(parts(sizes, eigen) == 1);
    single = solve(layer, eigen);
  }
  const Threads two(2);
  CHECK(parts(sizes, eigen) == 2);
  const auto both = solve(layer, eigen);
  check_invariants(both, eigen);
  const double bound = 50 * 2.2e-16 * single.eigenvalues.abs().max().item<double>();
  CHECK((both.eigenvalues - single.eigenvalues).abs().max().item<double>() < bound);
  CHECK(both.certified_bound.size(0) == 71);
  CHECK(at::allclose(both.certified_bound, single.certified_bound, 1e-9));
  CHECK(at::allclose(both.effective_rank, single.effective_rank, 1e-6));
  CHECK(at::allclose(both.frobenius, single.frobenius, 1e-12));
  CHECK(both.seconds.solve > 0);

  auto few = sizes;
  few.n = 31;  // 16 for each thread are too many to be waited for
  CHECK(parts(few, eigen) == 1);
  auto large = sizes;
  large.h = 1 << 20;  // the weights do not stay in a cache
  CHECK(parts(large, eigen) == 1);
  auto tight = eigen;
  tight.memory_limit = 1;
  CHECK(parts(sizes, tight) == 1);
  CHECK(parts(sizes, config(EigenSolver::kDense, 5)) == 1);
}

TEST_CASE("who stops the work stops every part of it") {
  const Threads two(2);
  struct StopsOthers : Host {
    std::thread::id own = std::this_thread::get_id();
    void log(LogLevel, const std::string&) override {}
    void progress(const ProgressState&) override {}
    bool stop_requested() override { return std::this_thread::get_id() != own; }
  } host;
  const HostScope scope(&host);
  CHECK_THROWS_AS(solve(random_layer(40, 70, 71, true, 65), config(EigenSolver::kLanczos, 5)), Stopped);
}

TEST_CASE("chunks come in order, and a later start leaves out the first") {
  const auto layer = random_layer(12, 20, 6, true, 63);
  auto one = config(EigenSolver::kDense, 2);
  one.memory_limit = 1;
  std::vector<int64_t> seen;
  solve_eigen({layer, {}, {}}, at::kCPU, one, 2, [&](int64_t first, const EigenPairs& pairs) {
    CHECK(pairs.size() == 1);
    seen.push_back(first);
  });
  CHECK(seen == std::vector<int64_t>{2, 3, 4, 5});
}

TEST_CASE("the automatic choice follows sizes, memory and what is asked for") {
  const auto choose = [](EigenSizes sizes, EigenConfig eigen = {}) {
    eigen.k = sizes.k;
    return plan_eigen(sizes, at::kCPU, eigen).solver;
  };
  CHECK(choose({64, 5632, 2048, 2048, 5632, 10}) == EigenSolver::kLanczos);
  CHECK(choose({1, 5632, 2048, 2048, 5632, 10}) == EigenSolver::kFormed);
  CHECK(choose({10, 256, 784, 256, 256, 784}) == EigenSolver::kDense);  // k is beyond what Lanczos does
  CHECK(choose({64, 512, 512, 512, 1, 10}) == EigenSolver::kLowRank);
  // ‖Q‖_F costs nothing where Q is formed; by the Gram matrix it pays from h/8 directions on.
  const auto with_energy = [](const EigenSizes& sizes) {
    return plan_eigen(sizes, at::kCPU, EigenConfig{}).energy;
  };
  CHECK(with_energy({704, 5632, 2048, 2048, 5632, 10}));
  CHECK_FALSE(with_energy({703, 5632, 2048, 2048, 5632, 10}));
  CHECK(with_energy({1, 5632, 2048, 2048, 5632, 10}));
  CHECK(with_energy({1, 512, 512, 512, 1, 10}));
  EigenConfig tight;
  tight.memory_limit = int64_t{340} << 20;
  CHECK(choose({1, 5632, 2048, 2048, 5632, 10}, tight) == EigenSolver::kLanczos);
  EigenConfig lanczos;
  lanczos.solver = EigenSolver::kLanczos;
  CHECK(choose({10, 256, 784, 256, 256, 200}, lanczos) ==
        EigenSolver::kDense);  // k above a third of the dimension
  const auto plan = plan_eigen({64, 5632, 2048, 2048, 5632, 10}, at::kCPU, {});
  CHECK_THAT(plan.describe(), ContainsSubstring("lanczos") && ContainsSubstring("dense"));
  CHECK(plan.bytes < int64_t{4} << 30);
}

}  // namespace bilens::solvers_test
