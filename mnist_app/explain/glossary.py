"""The technical terms that the pages use, each explained in a few sentences that a pupil can follow."""

GLOSSARY = {
    "pixel": "One square of a picture. The network gets 28 × 28 of them, each a number from 0 (paper) to 255 (ink).",
    "centre of mass": "The point on which the ink would balance if it were cut out. Every digit is moved until this "
    "point is in the middle, as in the digits that the network learned from.",
    "training picture": "One of the labelled digits that the network learned from. Validation and test pictures are "
    "kept back, to see how it reads digits that it has never seen.",
    "validation": "Labelled digits that the network does not learn from. How many of them it reads right decides "
    "between networks. The test digits are kept back from that choice, too, and give the final figure.",
    "loss": "How surprised the network is by the right answer, in nats: 0 if it gave that all its confidence, 2.3 if "
    "it guessed among all ten. Learning makes the average over all training pictures smaller.",
    "augmentation": "Turning, moving and bending the training pictures a little, differently each time, so that the "
    "network learns what a digit may look like instead of learning these pictures by heart.",
    "precision and recall": "Precision: of all digits read as a 7, the share that are sevens. Recall: of all sevens, "
    "the share that were read as a 7. F1 is one figure for both, their harmonic mean.",
    "projection": "A picture's features are many numbers, but a map has room for only two. PCA looks at the features "
    "from where they spread most; t-SNE keeps together what was close together.",
    "convolution": "Laying a small pattern on every place of a picture in turn. Where the picture is like the "
    "pattern, the result is high; elsewhere it is low. The patterns are what the network learns.",
    "feature map": "What a convolution makes of a picture: bright where its pattern was found. The maps of one layer "
    "are the pictures that the next layer looks at.",
    "pooling": "Of every four neighbouring values, only the highest is kept. The map becomes half as wide and half as "
    "high, and a digit that moves by one pixel still gives nearly the same result.",
    "features": "The last numbers before the answer, one for each map of the last layer. Pictures whose features are "
    "close together are similar to the network, whatever they look like to us.",
    "softmax": "Turns ten numbers of any size into ten probabilities that add up to 1: e is raised to the power of "
    "each, and the results are divided by their sum. A small lead becomes a large one.",
    "probability": "How much of its confidence the network gives to a digit. Of all digits read with 90%, about nine "
    "in ten should be right.",
    "calibration": "Making probabilities mean what they say. All ten numbers are divided by the same number, the "
    "temperature. It was chosen so that nine in ten digits read with 90% are right.",
    "no digit": "An eleventh answer that the network has learned for letters, hearts and scribbles. If this answer is "
    "likely enough, the network names no digit.",
    "evidence": "How much the ink of each pixel speaks for a digit or against it. The evidence of all pixels adds up "
    "to the difference between this picture and blank paper.",
    "integrated gradients": "How evidence is found: the picture is faded in from blank paper, and at every step we ask "
    "of each pixel how much a little more ink there would help.",
    "percentile": "Where something stands among many: at the 90th percentile, nine in ten have less of it. Here the "
    "middle nine tenths of real digits, from the 5th to the 95th percentile, count as usual.",
    "slant": "How far a digit leans from upright, in degrees. Most people's digits lean to the right.",
    "perturbation": "A change to a picture that is too small to matter to us. Made on purpose, it can change "
    "everything for a network.",
    "FGSM": "The fast gradient sign method: each pixel is made a little lighter or darker, whichever confuses the "
    "network more, and all pixels at once.",
    "PGD": "Projected gradient descent: FGSM in many small steps, never further from the picture than allowed. Here "
    "it starts at the picture itself, which is also called the basic iterative method.",
    "adversarial training": "Every digit is attacked before the network learns from it. Afterwards most attacks fail. "
    "In return, the network reads untouched digits a little worse and takes twice as long to learn.",
}
