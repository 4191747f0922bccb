#include "bilens/core/student_t.h"

#include <cmath>

#include "catch.h"

namespace bilens::student_t_test {
namespace {

TEST_CASE("bounds of Student's t are those of scipy.stats.t.ppf") {
  struct Known {
    double coverage;
    int64_t freedom;
    double bound;
  };
  for (const auto& [coverage, freedom, bound] :
       std::initializer_list<Known>{{0.95, 1, 12.706204736174694},
                                    {0.95, 2, 4.302652729749462},
                                    {0.95, 3, 3.1824463052837078},
                                    {0.95, 4, 2.7764451051977934},
                                    {0.95, 11, 2.200985160091639},
                                    {0.95, 24, 2.0638985616280245},
                                    {0.95, 114, 1.9809922979758567},
                                    {0.95, 100000, 1.9599877075346095},
                                    {0.5, 1, 1.0},
                                    {0.5, 999, 0.6747354103467192},
                                    {0.9999, 5, 11.17771007027887},
                                    {0.9999, 114, 4.032711698523357}}) {
    CAPTURE(coverage, freedom);
    CHECK(std::abs(student_t_bound(coverage, freedom) / bound - 1) < 1e-11);
  }
  CHECK(student_t_bound(0.0, 7) == 0.0);
}

TEST_CASE("with many degrees of freedom Student's t is normal") {
  CHECK(std::abs(student_t_bound(0.95, 3'000'000) - 1.959963984540054) < 1e-6);  // they differ by 2.4/freedom
}

}  // namespace
}  // namespace bilens::student_t_test
