"""A Runge-Kutta pair 5(4) of seven stages whose region of stability is stretched along the eigenvalues of precession.

A mode of frequency w obeys dm/dt = -(alpha + i) w m / (1 + alpha^2): nearly imaginary eigenvalues, as far out as exchange on fine
cells drives them, while what matters moves slowly.  Dormand-Prince 5(4) is stable there to |h lambda| = 2.1 (alpha 0.02), 0.35 for each
evaluation; this pair to 5.7, 0.81 (5.4 to 5.7 for alpha from 0.005 to 0.1, 3.6 on the real axis).

The two free coefficients of the stability polynomial, 0.6318 / 6! and 0.6196 / 7!, are the best on the rays alpha = 0.005, 0.02, 0.1
(convex for a given step: Ketcheson and Ahmadia, Commun. Appl. Math. Comput. Sci. 7, 247 (2012)).  The others minimise the error of
sixth order under the conditions of fifth order (norm of its coefficients 8.2e-4; Dormand-Prince 4.0e-4 with one stage less), with
the simplifying assumption sum_j a_ij c_j = c_i^2 / 2 from the third stage on, which leaves one direction for an embedded fourth
order.  docs/theory.md#steps-limited-by-stability.
"""

from torchmag.solvers.tableau import Tableau

GYRO5 = Tableau(
    name="gyro5",
    order=5,
    c=(
        0,
        0.2301794927302793,
        0.29272016890657543,
        0.651388062706717,
        0.8799084707584283,
        0.49156250283678593,
        0.9891206626698245,
    ),
    a=(
        (0.2301794927302793,),
        (0.10659347215279787, 0.18612669675377755),
        (0.019596834745756884, -0.4351594965053292, 1.0669507244662892),
        (0.08249938265758512, 0.3821597693251075, -0.07992259081156285, 0.4951719095872985),
        (-0.47589365160397773, 1.2088402753427545, -0.20308587516023655, 0.2813189084425, -0.3196171541842542),
        (
            0.3118099766999398,
            0.46588086210483964,
            -0.15117811767462197,
            0.47715532724937815,
            0.4421068733980253,
            -0.5566542591077365,
        ),
    ),
    b=(
        0.09212964834202396,
        0,
        0.42241260974747064,
        0.29295812340829336,
        0.1949476700029155,
        -0.032975435883267505,
        0.03052738438256424,
    ),
    e=(
        0.0029347930926653153,
        0,
        -0.013422727922109667,
        0.013309175544343058,
        -0.027118780952911006,
        0.009871185542440685,
        0.01442635469557252,
        0,
    ),
    mid=(
        0.10223860911684145,
        0,
        0.370564251991373,
        0.06809399839019126,
        -0.051116081125770395,
        -0.013470188269444315,
        -0.007560590103190847,
        0.031249999999999976,
    ),
)
