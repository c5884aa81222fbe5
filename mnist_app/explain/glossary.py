"""The words of the trade that the pages use, each in a sentence or two that a pupil can follow."""

GLOSSARY = {
    "pixel": "One square of a picture. The network gets 28 × 28 of them, each a number from 0, paper, to 255, ink.",
    "centre of mass": "The point on which a picture cut out of its ink would balance. Every digit is moved until that "
    "point is in the middle, because the digits that the network learned from were.",
    "training picture": "One of the labelled digits that the network learned from. Validation and test pictures are "
    "kept back, to see how it reads what it has never seen.",
    "validation": "Labelled digits that are kept back from learning. How many of them are read right decides between "
    "networks; the test digits, kept back from that too, give the final figure.",
    "loss": "How surprised the network is by the right answer: 0 where it gave it all its confidence, 2.3 where it "
    "guessed among ten. Learning makes the average over all training pictures smaller.",
    "augmentation": "Training pictures turned, moved and bent a little, anew each time they are looked at, so that the "
    "network learns what a digit may look like rather than these pictures.",
    "precision and recall": "Of all that was read as a 7, the share that is one: precision. Of all sevens, the share "
    "that was read as one: recall. F1 is one figure for both, their harmonic mean.",
    "projection": "A picture's features are many numbers; on a map there is room for two. PCA looks at them from where "
    "they spread most, t-SNE keeps those together that were near each other.",
    "convolution": "A small pattern that is laid on every place of a picture in turn. Where the picture is like the "
    "pattern the result is high, elsewhere low. The patterns are what the network learns.",
    "feature map": "What a convolution makes of a picture: bright where its pattern was found. The maps of one layer "
    "are the pictures that the next one looks at.",
    "pooling": "Of every four neighbouring values only the highest is kept. The map is half as wide and high, and a "
    "digit that moves by a pixel still gives nearly the same.",
    "features": "The last numbers before the answer, one for each of the last maps. Pictures whose features are close "
    "together are alike to the network, whatever they look like to us.",
    "softmax": "Turns ten numbers of any size into ten probabilities that add up to 1: e is raised to the power of "
    "each, and the results are divided by their sum. A small lead becomes a large one.",
    "probability": "How much of its confidence the network gives to a digit. Of all digits read with 90%, about nine "
    "in ten should be read right.",
    "calibration": "Making probabilities mean what they say. All ten numbers are divided by one, the temperature, "
    "which was chosen so that of digits read with 90% nine in ten are right.",
    "no digit": "An eleventh answer that the network has learned for letters, hearts and scribbles. Where it is likely "
    "enough, no digit is claimed.",
    "evidence": "How much the ink of each pixel speaks for a digit or against it. Taken together, the evidence of all "
    "pixels is the difference between this picture and blank paper.",
    "integrated gradients": "The way in which evidence is found: the picture is faded in from blank paper, and at "
    "every step each pixel is asked how much a little more of it would help.",
    "percentile": "Where something stands among many: at the 90th percentile, nine in ten have less of it. The middle "
    "nine tenths of real digits, from the 5th to the 95th, are called usual here.",
    "slant": "How far a digit leans from upright, in degrees. Most people lean to the right.",
    "perturbation": "A change to a picture that is too small to matter to us. Made on purpose, it can change "
    "everything for a network.",
    "FGSM": "The fast gradient sign method: each pixel is made a little lighter or darker, whichever confuses the "
    "network more, all at once.",
    "PGD": "Projected gradient descent: FGSM in many small steps, never further from the picture than allowed. Here "
    "the first step starts at the picture itself, which is also called the basic iterative method.",
    "adversarial training": "Every digit is attacked before the network learns from it. Afterwards most attacks fail; "
    "in return it reads untouched digits a little worse, and takes twice as long to learn.",
}
