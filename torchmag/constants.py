"""Physical constants in SI units.

k_B, hbar and e are exact (SI 2019); mu_B and m_e are CODATA 2022.  mu_0 keeps its pre-2019 value
4 pi 1e-7 T m/A, which the published micromagnetic reference numbers use (it differs from CODATA 2022 by 1e-10).
"""

import math

mu_0 = 4e-7 * math.pi  # vacuum permeability, T m/A
k_B = 1.380649e-23  # Boltzmann constant, J/K
hbar = 6.62607015e-34 / (2 * math.pi)  # reduced Planck constant, J s
e = 1.602176634e-19  # elementary charge, C
m_e = 9.1093837139e-31  # electron mass, kg
mu_B = e * hbar / (2 * m_e)  # Bohr magneton, J/T
gamma_0 = mu_0 * 1.76085963e11  # gyromagnetic ratio of the electron times mu_0, m/(A s)
