"""Linear models: one weight for each pixel and digit."""

from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.svm import LinearSVC

from mnist_app.lab.classical import classical
from mnist_app.lab.contender import Expected


def _weights(fitted: "LinearSVC | LogisticRegression | RidgeClassifier") -> int:
    return int(fitted.coef_.size + fitted.intercept_.size)


CONTENDERS = (
    classical(
        "linear-regression",
        "Linear regression",
        "Fits ten straight lines to ones and zeros by least squares, with a little ridge, and takes the highest.",
        lambda: RidgeClassifier(alpha=1.0),
        _weights,
        Expected(0.861, "Boyd and Vandenberghe 2018, least squares on ten digits: 13.9% error"),
    ),
    classical(
        "logistic-regression",
        "Logistic regression",
        "The same ten weighted sums through a softmax: a network of one layer.",
        lambda: LogisticRegression(C=0.1, max_iter=200),
        _weights,
        Expected(0.923, "softmax regression in TensorFlow's first tutorial: about 92%"),
    ),
    classical(
        "linear-svm",
        "Linear support vector machine",
        "Ten planes, each as far as can be from the digits on either side of it.",
        lambda: LinearSVC(C=0.01),
        _weights,
        Expected(0.917, "the usual result of liblinear: 91.5 to 92%; LeCun's page lists 92.4% for pairwise planes"),
    ),
)
