"""By which endings files of volumes are known, in lower case: the one list."""

NIFTI = (".nii.gz", ".nii")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")  # NRRD and MetaImage: a header, with the values behind it or in a file beside
DETACHED = (".nhdr", ".mhd")  # of these, headers with the values in a file beside them
HDF5 = (".h5", ".hdf5")
PLACED = (*NIFTI, *ITK)
"""Those of files that say where their voxels lie: what sources look for, where two files have one name the first."""
VOLUMES = (*PLACED, *HDF5)
"""All that `engine.data.volumes` reads."""
