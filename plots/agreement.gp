# SPDX-License-Identifier: MIT
# cdm-eval agreement: the fraction of images that look like the class they were drawn for.
#   gnuplot -c agreement.gp STEM ROWS
# Draws STEM.svg and STEM.png from STEM.csv (images, count, share_agreeing, standard_error). ROWS is
# its number of rows.
STEM = ARG1
rows = ARG2 + 0
csv = STEM.'.csv'

set datafile separator ','
set encoding utf8
set grid lc rgb '#dddddd'
set terminal svg size 720,480 dynamic background rgb 'white' font 'sans,13'
set output STEM.'.svg'

set title 'Share of images of the class they were drawn for'
set ylabel 'share, by nearest neighbours'
set yrange [0:1]
set style fill solid 0.4
set boxwidth 0.6
set xtics rotate by -20 noenhanced
set xrange [-0.7:rows - 0.3]
# The file without its folders.
name(path) = strstrt(path, '/') > 0 ? name(path[strstrt(path, '/') + 1 : *]) : path
plot csv skip 1 using 0:3:4:xticlabels(name(strcol(1))) \
       with boxerrorbars lc 3 title 'with standard error'

set terminal pngcairo size 720,480 font 'sans,11'
set output STEM.'.png'
replot
set output
