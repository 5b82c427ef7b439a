"""Score what ships: labelled data through artifacts, with intervals, slices, flips and gates.

One kind of data a file in ``kinds``; ``session`` runs rows through contestants, ``board`` holds
what came of it, everything after reads the board.
"""
