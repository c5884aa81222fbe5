"""A support vector machine with a Gaussian kernel: the best of the models before networks won."""

from sklearn.svm import SVC

from mnist_app.lab.classical import classical
from mnist_app.lab.contender import Expected

CONTENDERS = (
    classical(
        "rbf-svm",
        "RBF support vector machine",
        "Compares a picture with the thousands of training pictures that lie at the borders between digits.",
        lambda: SVC(C=5, gamma=0.02),
        lambda fitted: int(fitted.support_vectors_.size + fitted.dual_coef_.size + fitted.intercept_.size),
        Expected(0.986, "LeCun's page, Gaussian kernel without preprocessing: 1.4% error"),
    ),
)
