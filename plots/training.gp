# SPDX-License-Identifier: MIT
# cdm-eval training: scores of test images while a run trained, over steps (left) and over time
# (right): what one forward pass claims and what the denoiser proves (top), and the gap (bottom).
#   gnuplot -c training.gp STEM UNIT
# Draws STEM.svg and STEM.png from STEM.csv (run, step, seconds, unit, one_forward, its standard
# error, denoiser_bound, its standard error, gap, its standard error, ...). Rows of the same run must
# follow one another. Bars are 95 % intervals.
STEM = ARG1
unit = ARG2
csv = STEM.'.csv'

set datafile separator ','
set encoding utf8
set grid lc rgb '#dddddd'
set terminal svg size 960,640 dynamic background rgb 'white' font 'sans,13'
set output STEM.'.svg'

# The names of the runs, in the order in which they first occur.
array Run[1000]
runs = 0
enter(name) = runs > 0 && Run[runs] eq name ? runs : (runs = runs + 1, Run[runs] = name, runs)
stats csv skip 1 using (enter(strcol(1))) nooutput

# The first scores may be far worse than all others: axes reach from the least value to one range of
# quartiles beyond the quartiles, and lines to values beyond leave the panel.
stats csv skip 1 using 5 name 'Score' nooutput
stats csv skip 1 using 7 name 'Bound' nooutput
stats csv skip 1 using 9 name 'Gap' nooutput
most(a, b) = a > b ? a : b
least(a, b) = a < b ? a : b
upper(low, high, top) = high > low ? least(top, high + 3 * (high - low)) : top
lower(low, high, bottom) = high > low ? most(bottom, low - 3 * (high - low)) : bottom
score_low = least(lower(Score_lo_quartile, Score_up_quartile, Score_min), \
                  lower(Bound_lo_quartile, Bound_up_quartile, Bound_min))
score_high = most(upper(Score_lo_quartile, Score_up_quartile, Score_max), \
                  upper(Bound_lo_quartile, Bound_up_quartile, Bound_max))
gap_low = least(0, lower(Gap_lo_quartile, Gap_up_quartile, Gap_min))
gap_high = most(0, upper(Gap_lo_quartile, Gap_up_quartile, Gap_max))
room(low, high) = high > low ? 0.08 * (high - low) : 0.1 * (1 + abs(low))

at(column) = column == 0 ? $2 : $3 / 60
bar(se) = valid(se) ? 1.96 * column(se) : 0  # half of a 95 % interval
of(run, value) = strcol(1) eq Run[run] ? column(value) : NaN

array Label[2] = ['steps', 'minutes of training']
do for [terminal = 1:2] {
  if (terminal == 2) {
    set terminal pngcairo size 960,640 font 'sans,11'
    set output STEM.'.png'
  }
  set multiplot layout 2,2 title 'Test images during training: 95 % intervals'
  set xrange [0:*]
  set ylabel unit
  set yrange [score_low - room(score_low, score_high):score_high + room(score_low, score_high)]
  do for [time = 1:2] {
    set xlabel Label[time]
    if (time == 1) { set key top right } else { unset key }
    plot for [i = 1:runs] csv skip 1 using (at(time - 1)):(of(i, 5)):(bar(6)) \
           with yerrorlines lc i lw 1.5 pt 7 ps 0.4 title Run[i].': one forward pass' noenhanced, \
         for [i = 1:runs] csv skip 1 using (at(time - 1)):(of(i, 7)):(bar(8)) \
           with yerrorlines lc i lw 1.5 dt 2 pt 6 ps 0.6 title Run[i].': denoiser bound' noenhanced
  }
  set ylabel 'gap, '.unit
  set yrange [gap_low - room(gap_low, gap_high):gap_high + room(gap_low, gap_high)]
  do for [time = 1:2] {
    set xlabel Label[time]
    if (time == 1) { set key top right } else { unset key }
    plot 0 with lines lc 'grey' notitle, \
         for [i = 1:runs] csv skip 1 using (at(time - 1)):(of(i, 9)):(bar(10)) \
           with yerrorlines lc i lw 1.5 pt 7 ps 0.4 title Run[i] noenhanced
  }
  unset multiplot
}
set output
