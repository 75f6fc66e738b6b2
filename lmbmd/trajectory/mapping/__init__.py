"""From a foreign topology to who every atom is: elements, molecules, species, sites."""
