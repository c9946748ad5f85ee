# SPDX-License-Identifier: MIT
# cdm-eval denoise: error of the predicted noise at each noise level, one curve per run (figure 4).
#   gnuplot -c denoise.gp STEM
# Draws STEM.svg and STEM.png from STEM.csv (run, level, steps, sigma, mse_noise, ...). Rows of the
# same run must follow one another.
STEM = ARG1
csv = STEM.'.csv'

set datafile separator ','
set encoding utf8
set grid lc rgb '#dddddd'
set terminal svg size 720,480 dynamic background rgb 'white' font 'sans,13'
set output STEM.'.svg'

# The names of the runs, in the order in which they first occur.
array Run[1000]
runs = 0
enter(name) = runs > 0 && Run[runs] eq name ? runs : (runs = runs + 1, Run[runs] = name, runs)
stats csv skip 1 using (enter(strcol(1))) nooutput

set title 'Denoising error at each noise level'
set xlabel 'noise level t / T'
set ylabel 'mean squared error of eps'
set xrange [0:1]
set logscale y
set key right top
plot for [i = 1:runs] csv skip 1 using ($2 / $3):(strcol(1) eq Run[i] ? $5 : NaN) \
       with linespoints pt 7 ps 0.5 title Run[i] noenhanced

set terminal pngcairo size 720,480 font 'sans,11'
set output STEM.'.png'
replot
set output
