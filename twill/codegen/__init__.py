"""From a schedule to a Gluon kernel: `plan` decides everything, `gluon` prints it, `machine_code` compiles it.

pipeline                       where each group's loop begins, its steps in order, the order tokens
scope, role, worker            values of the graph as one role sees them; layouts: their register layouts
producer, consumer             the programs of the two kinds of role; path: one way through a loop
order, operands, dots,         what one op of the loop becomes, with its waits and releases;
  flights, turns, after          after: stores and what follows the loop
statements                     what all of this is written in
expressions, iterations, literals, layout_constants, host, launcher     printing
"""
