# SPDX-License-Identifier: MIT
# cdm-eval levels: confusion matrix, the most probable level of images of each level (figure 9).
#   gnuplot -c confusion.gp STEM TITLE GROUP ROWS
# Draws STEM.svg and STEM.png from STEM.csv (true_level, decided_level, share). GROUP is the number
# of neighbouring levels in one row of the matrix, ROWS the number of its rows.
STEM = ARG1
title = ARG2
group = ARG3 + 0
rows = ARG4 + 0
csv = STEM.'.csv'

set datafile separator ','
set encoding utf8
set grid lc rgb '#dddddd'
set terminal svg size 640,560 dynamic background rgb 'white' font 'sans,13'
set output STEM.'.svg'

least = 0.001  # smaller shares have the same colour as this one
first = -0.5 * group
last = (rows - 0.5) * group
set title title noenhanced
set xlabel 'level decided'
set ylabel 'true level'
set cblabel 'share of the images of a level'
set logscale cb
set cbrange [least:1]
set size square
set palette cubehelix negative
set xrange [first:last]
set yrange [last:first]
plot csv skip 1 using 2:1:($3 > least ? $3 : least) with image notitle

set terminal pngcairo size 640,560 font 'sans,11'
set output STEM.'.png'
replot
set output
