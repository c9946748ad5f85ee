# SPDX-License-Identifier: MIT
# cdm-eval toy: mean log-likelihood of data with a known density: exact, and estimated by each run
# (figure 7).
#   gnuplot -c toy.gp STEM RUNS
# Draws STEM.svg and STEM.png from STEM.csv, whose columns 1, 6, 7 and 8 are run, exact_nats_per_dim,
# estimated_nats_per_dim and spread_nats_per_dim. RUNS is its number of rows.
STEM = ARG1
runs = ARG2 + 0
csv = STEM.'.csv'

set datafile separator ','
set encoding utf8
set grid lc rgb '#dddddd'
set terminal svg size 720,480 dynamic background rgb 'white' font 'sans,13'
set output STEM.'.svg'

set title 'Log-likelihood of data with a known density'
set ylabel 'log p_0(x) / d, nats'
set xtics rotate by -20 noenhanced
set xrange [-0.5:runs - 0.5]
set key outside center top horizontal
plot csv skip 1 using 0:6:xticlabels(1) with points pt 6 ps 2 lw 2 title 'exact', \
     csv skip 1 using 0:7:8 with yerrorbars pt 7 ps 0.8 title 'estimated, spread over images'

set terminal pngcairo size 720,480 font 'sans,11'
set output STEM.'.png'
replot
set output
