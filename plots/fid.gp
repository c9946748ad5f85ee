# SPDX-License-Identifier: MIT
# cdm-eval fid: distances, precision, recall and share of broken samples, as points with their values.
#   gnuplot -c fid.gp STEM TITLE
# Draws STEM.svg and STEM.png from STEM.csv (measure, value, ...), which has five rows. The axis is
# logarithmic, because the values differ by orders of magnitude; values below 0.001 are drawn at
# 0.001.
STEM = ARG1
title = ARG2
csv = STEM.'.csv'

set datafile separator ','
set encoding utf8
set grid lc rgb '#dddddd'
set terminal svg size 720,480 dynamic background rgb 'white' font 'sans,13'
set output STEM.'.svg'

set title title noenhanced
set ylabel 'value (logarithmic)'
set xtics noenhanced
set xrange [-0.7:4.7]
set logscale y
set yrange [0.001:1000 < *]
at(y) = y > 0.001 ? y : 0.001
plot csv skip 1 using 0:(at($2)):xticlabels(1) with points pt 7 ps 1.5 lc 3 notitle, \
     csv skip 1 using 0:(at($2)):(sprintf('%.4g', $2)) with labels left offset 1, 0 notitle

set terminal pngcairo size 720,480 font 'sans,11'
set output STEM.'.png'
replot
set output
