# SPDX-License-Identifier: MIT
# cdm-eval curves: log p_t(x) at every level t, of images with noise of several levels (figure 3).
#   gnuplot -c curves.gp STEM TITLE IMAGES LAST LEVELS
# Draws STEM.svg and STEM.png from STEM.csv (image, noise_level, level, log_prob_nats). IMAGES is
# the number of images, LAST the last level, LEVELS the noise levels of the images ('0 250 500').
# Curves of the same noise level have the same colour.
STEM = ARG1
title = ARG2
images = int(ARG3)
last = ARG4 + 0
levels = ARG5
csv = STEM.'.csv'

set datafile separator ','
set encoding utf8
set grid lc rgb '#dddddd'
set terminal svg size 720,480 dynamic background rgb 'white' font 'sans,13'
set output STEM.'.svg'

set title title noenhanced
set xlabel 'level t'
set ylabel 'log p_t(x), nats'
set xrange [0:last]
set key outside right title 'image of level'
level(i) = word(levels, i)
plot for [i = 1:words(levels)] for [image = 0:images - 1] csv skip 1 \
       using 3:($1 == image && $2 == level(i) + 0 ? $4 : NaN) \
       with lines lw 1.5 lc i title (image > 0 ? '' : 'x_{'.level(i).'}')

set terminal pngcairo size 720,480 font 'sans,11'
set output STEM.'.png'
replot
set output
