"""A table of formulations in the manner of om-data, and the codebook that says what it means."""

from __future__ import annotations

#: Lines in the manner of om-data's elytes.csv: formulae for names, ions apart, and units by a word.
OM_DATA = """\
category,comment/name,DOI,units,temperature,cation1,cation1_conc,cation2,cation2_conc,anion1,anion1_conc,anion2,\
anion2_conc,solvent1,solvent1_ratio,solvent2,solvent2_ratio
Li,Gen2,10.1039/d1sc04265c,volume,300.0,Li+,1.2,,,F6P-,1.2,,,C3H4O3,1.0,C4H8O3,2.0
,Ether hightemp,,mass,350.0,Li+,1.0,,,C2F6NO4S2-,1.0,,,C4H10O2,1.0,,
,Mixed,10.1002/adfm.201100854,mass,300.0,Li+,2.2,,,F2NO4S2-,2.0,F6P-,0.2,C4H10O2,1.0,,
,LHCE-2,10.1016/j.chempr.2018.05.002,number,300.0,Li+,1.0,,,F2NO4S2-,1.0,,,C4H10O2,1.2,C5H4F8O,3.0
"""
CODEBOOK = """\
units: {volume: mol/L of solvent, mass: mol/kg of solvent, number: mol parts}
ratio: mol parts
names: {F6P-: PF6, F2NO4S2-: FSI, C2F6NO4S2-: TFSI, C3H4O3: EC, C4H8O3: EMC, C4H10O2: DME, C5H4F8O: TTE}
"""
