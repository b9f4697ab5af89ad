# Aluminium, heated while four Deep Potentials watch each other. The run ends by itself where they stop agreeing.
#
#   lmp -in in.al                        or: mpirun -n 2 lmp -in in.al
#   lmp -in in.al -var models /path      models elsewhere: /path/model_0.pb ... model_3.pb

variable models index ../../tests/data/al
variable m0 string ${models}/model_0.pb
variable m1 string ${models}/model_1.pb
variable m2 string ${models}/model_2.pb
variable m3 string ${models}/model_3.pb

units        metal
lattice      fcc 4.05
region       box block 0 3 0 3 0 3
create_box   1 box
create_atoms 1 box
mass         1 26.982
velocity     all create 200 4928459 loop geom

pair_style   deepmd ${m0}
pair_coeff   * * Al

# The line that makes the difference: look every 10 steps, keep frames between 0.1 and 0.25 eV/Angstrom, stop above.
fix          heat all nvt temp 100 3000 0.1
fix          dp all dpgen 10 ${m0} ${m1} ${m2} ${m3} types Al trust 0.1 0.25 stop failed

# f_dp[4] is max_devi_f; f_dp[7], f_dp[8] and f_dp[9] count accurate, candidate and failed frames.
thermo_style custom step temp pe f_dp[4] f_dp[6] f_dp[7] f_dp[8] f_dp[9]
thermo       100
timestep     0.002

# Which atoms the models disagree about: the spread of the force on each.
dump         spread all custom 100 spread.dump id type xu yu zu f_dp
dump_modify  spread sort id

run          5000
print        "Stopped at step $(step): reason $(f_dp[10]) (0 none, 1 failed frame), $(f_dp[11]) frames kept"
