#include "cp_terms.h"

#include <ATen/ATen.h>

namespace bilens {

CpTerms operator+(const CpTerms& x, const CpTerms& y) {
  return {x.left + y.left, x.right + y.right, x.output + y.output};
}

CpTerms operator*(double factor, const CpTerms& x) {
  return {factor * x.left, factor * x.right, factor * x.output};
}

double dot(const CpTerms& x, const CpTerms& y) {
  return ((x.left * y.left).sum() + (x.right * y.right).sum() + (x.output * y.output).sum()).item<double>();
}

CpTerms balance(const CpTerms& terms) {
  const auto size = [](const at::Tensor& rows) { return rows.norm(2, {1}, true); };
  const auto l = size(terms.left), r = size(terms.right), a = size(terms.output);
  const auto common = l.pow(1.0 / 3) * r.pow(1.0 / 3) * a.pow(1.0 / 3);
  const auto scaled = [&](const at::Tensor& rows, const at::Tensor& own) {
    return at::where(common > 0, rows * (common / own), rows);  // a zero term stays as it is
  };
  return {scaled(terms.left, l), scaled(terms.right, r), scaled(terms.output, a)};
}

at::Tensor cp_gram(const CpTerms& terms) {
  const auto& l = terms.left;
  const auto& r = terms.right;
  const auto cross = l.mm(r.t());
  return 0.5 * (l.mm(l.t()) * r.mm(r.t()) + cross * cross.t());
}

at::Tensor contract_inputs(const BilinearLayer& layer, const CpTerms& terms) {
  const auto gate = layer.gate.t(), up = layer.up.t();
  const auto hidden =
      0.5 * (terms.left.mm(gate) * terms.right.mm(up) + terms.left.mm(up) * terms.right.mm(gate));
  return hidden.mm(layer.down.t());
}

CpTerms contract(const BilinearLayer& layer, const CpTerms& terms) {
  const auto gate = layer.gate.t(), up = layer.up.t();
  const auto wl = terms.left.mm(gate), vl = terms.left.mm(up);
  const auto wr = terms.right.mm(gate), vr = terms.right.mm(up);
  const auto s = 0.5 * terms.output.mm(layer.down);
  return {(s * vr).mm(layer.gate) + (s * wr).mm(layer.up), (s * vl).mm(layer.gate) + (s * wl).mm(layer.up),
          (0.5 * (wl * vr + vl * wr)).mm(layer.down.t())};
}

CpTerms contract_self(const CpTerms& terms) {
  const auto& [l, r, a] = terms;
  const auto ll = l.mm(l.t()), rr = r.mm(r.t()), lr = l.mm(r.t()), aa = a.mm(a.t());
  return {0.5 * ((aa * rr).mm(l) + (aa * lr.t()).mm(r)), 0.5 * ((aa * ll).mm(r) + (aa * lr).mm(l)),
          cp_gram(terms).mm(a)};
}

CpTerms gauss_newton_product(const CpTerms& terms, const CpTerms& direction) {
  const auto& [l, r, a] = terms;
  const auto& [dl, dr, da] = direction;
  const auto ll = l.mm(l.t()), rr = r.mm(r.t()), lr = l.mm(r.t()), aa = a.mm(a.t());
  const auto rl = lr.t();
  const auto a_da = a.matmul(da.mT()), l_dl = l.matmul(dl.mT()), l_dr = l.matmul(dr.mT()),
             r_dl = r.matmul(dl.mT()), r_dr = r.matmul(dr.mT());
  return {0.5 * ((a_da * rr + aa * r_dr).matmul(l) + (a_da * rl + aa * r_dl).matmul(r) +
                 (aa * rr).matmul(dl) + (aa * rl).matmul(dr)),
          0.5 * ((a_da * ll + aa * l_dl).matmul(r) + (a_da * lr + aa * l_dr).matmul(l) +
                 (aa * ll).matmul(dr) + (aa * lr).matmul(dl)),
          cp_gram(terms).matmul(da) + 0.5 * (l_dl * rr + lr * r_dl + ll * r_dr + l_dr * rl).matmul(a)};
}

}  // namespace bilens
