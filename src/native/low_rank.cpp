#include "native/low_rank.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace dpgen::native {

namespace {

// Rotates two columns; each has `n` numbers.
void rotate(double *one, double *other, std::size_t n, double cosine, double sine)
{
  for (std::size_t k = 0; k < n; ++k) {
    const double a = one[k], b = other[k];
    one[k] = cosine * a - sine * b;
    other[k] = sine * a + cosine * b;
  }
}

// One sweep over all pairs of columns; true if any was not orthogonal yet.
bool sweep(std::vector<std::vector<double>> &columns, std::vector<std::vector<double>> &directions)
{
  bool changed = false;
  for (std::size_t p = 0; p < columns.size(); ++p)
    for (std::size_t q = p + 1; q < columns.size(); ++q) {
      const std::vector<double> &a = columns[p], &b = columns[q];
      const double aa = std::inner_product(a.begin(), a.end(), a.begin(), 0.0);
      const double bb = std::inner_product(b.begin(), b.end(), b.begin(), 0.0);
      const double ab = std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
      if (std::abs(ab) <= 1e-15 * std::sqrt(aa * bb) || ab == 0.0) continue;
      const double zeta = (bb - aa) / (2.0 * ab);
      const double tangent = (zeta < 0.0 ? -1.0 : 1.0) / (std::abs(zeta) + std::sqrt(1.0 + zeta * zeta));
      const double cosine = 1.0 / std::sqrt(1.0 + tangent * tangent), sine = cosine * tangent;
      rotate(columns[p].data(), columns[q].data(), columns[p].size(), cosine, sine);
      rotate(directions[p].data(), directions[q].data(), directions[p].size(), cosine, sine);
      changed = true;
    }
  return changed;
}

// Householder's reflections leave an upper triangle [width][width], as columns, with the same singular values and
// directions as the `n` samples.
std::vector<std::vector<double>> triangle(const std::vector<double> &samples, int width)
{
  const int n = static_cast<int>(samples.size()) / width;
  std::vector<std::vector<double>> columns(width, std::vector<double>(std::max(n, width), 0.0));
  for (int c = 0; c < width; ++c)
    for (int k = 0; k < n; ++k) columns[c][k] = samples[static_cast<std::size_t>(k) * width + c];
  for (int k = 0; k < width; ++k) {
    std::vector<double> mirror(columns[k].begin() + k, columns[k].end());
    const double size = std::sqrt(std::inner_product(mirror.begin(), mirror.end(), mirror.begin(), 0.0));
    mirror[0] += mirror[0] < 0.0 ? -size : size;
    const double square = std::inner_product(mirror.begin(), mirror.end(), mirror.begin(), 0.0);
    for (int c = k; c < width && square > 0.0; ++c) {
      const double part = 2.0 / square * std::inner_product(mirror.begin(), mirror.end(), columns[c].begin() + k, 0.0);
      for (std::size_t i = 0; i < mirror.size(); ++i) columns[c][k + i] -= part * mirror[i];
    }
  }
  for (auto &column : columns) column.resize(width);
  return columns;
}

}    // namespace

int Directions::rank(double tolerance) const
{
  int n = 1;
  while (n < width && values[n] > tolerance * values[0]) ++n;
  return n;
}

Directions find_directions(const std::vector<double> &samples, int width)
{
  std::vector<std::vector<double>> columns = triangle(samples, width), directions(width, std::vector<double>(width));
  for (int c = 0; c < width; ++c) directions[c][c] = 1.0;
  for (int round = 0; round < 30 && sweep(columns, directions); ++round) {
  }

  std::vector<double> values;
  for (const auto &column : columns)
    values.push_back(std::sqrt(std::inner_product(column.begin(), column.end(), column.begin(), 0.0)));
  std::vector<int> order(width);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return values[a] > values[b]; });
  Directions found;
  found.width = width;
  for (int r = 0; r < width; ++r) found.values.push_back(values[order[r]]);
  for (int c = 0; c < width; ++c)
    for (int r = 0; r < width; ++r) found.vectors.push_back(directions[order[r]][c]);
  return found;
}

}    // namespace dpgen::native
