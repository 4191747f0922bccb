#pragma once

#include "bilens/data/image_dataset.h"
#include "bilens/records/attack_record.h"
#include "bilens/study/class_forms.h"

namespace bilens {

struct MaskConfig {
  int64_t eigenvectors = 3;  // a class; 0: no masks
  std::vector<double> strengths = {0.1, 0.2, 0.3};
  double dark = 0.01;  // mean of a pixel of the training images, in pixel/255, below which it is an edge's
  int64_t seed = 0;    // of the random masks

  static const FieldTable<MaskConfig>& fields();
};

/// Masks that are added to images so that one eigenvector's projection changes and no other's (arXiv
/// 2410.08417, section 4.3).
struct AdversarialMasks {
  at::Tensor directions;  // float64 [classes · m, d_input], of unit norm; m of class 0 first
  int64_t each = 0;       // m
};

/// The duals, rows of the pseudoinverse's transpose, of the m eigenvectors with the largest positive
/// eigenvalues of each class, centred, over the pixels. The sign of each is that of the mean projection of
/// the training images on the eigenvector. m is smaller where a class has fewer positive eigenvalues, and
/// where the classes' eigenvectors would be more than the r dimensions that the model looks at, so that no
/// duals would be.
/// @param mean_input of the training images [d_input], float64
AdversarialMasks dual_masks(const ClassForms& forms, const at::Tensor& mean_input, int64_t eigenvectors);

/// What these masks do on the test images, beside random masks of the same strengths, and both on dark pixels
/// alone. Masked pixels may leave [0, 1]. @throws Stopped
std::vector<MaskEffect> measure_masks(ImageClassifier& model, const ImageDataset& images,
                                      const AdversarialMasks& masks, const MaskConfig& config);

}  // namespace bilens
