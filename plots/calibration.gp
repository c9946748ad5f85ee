# SPDX-License-Identifier: MIT
# cdm-eval levels: how often the most probable level is the right one, as a function of its
# probability.
#   gnuplot -c calibration.gp STEM TITLE
# Draws STEM.svg and STEM.png from STEM.csv (mean_confidence, accuracy, images; a row for each bin
# of the probability). A larger dot stands for more images.
STEM = ARG1
title = ARG2
csv = STEM.'.csv'

set datafile separator ','
set encoding utf8
set grid lc rgb '#dddddd'
set terminal svg size 720,480 dynamic background rgb 'white' font 'sans,13'
set output STEM.'.svg'

set title title noenhanced
set xlabel 'probability of the most probable level'
set ylabel 'share of right decisions'
set xrange [0:*]
set yrange [0:*]
set key outside center top horizontal
plot x with lines dt 2 lc 'grey' title 'calibrated', \
     csv skip 1 using 1:2:(0.5 + 0.35 * log10($3)) \
       with linespoints pt 7 ps variable lc 3 title 'model (size: images)'

set terminal pngcairo size 720,480 font 'sans,11'
set output STEM.'.png'
replot
set output
