"""Site, sex, age and the like: kept from the tables that lie beside the images."""

from __future__ import annotations

from engine.data import check_dataset, open_dataset
from engine.data.catalog import statement
from engine.data.identity import fingerprint_of_test, split_rows
from engine.runfolder import create, read_splits, write_splits
from tests.engine.data import builders


def traits_of(dataset) -> dict[str, dict[str, str]]:
    return {case.id: case.traits for case in dataset.cases}


def test_a_table_of_cases_keeps_what_it_says_of_patients(tmp_path):
    folder = tmp_path / "t"
    for number in range(4):
        builders.picture(folder / "images" / f"a{number}.png", number)
    rows = [
        "images/a0.png,x,Ulm,F,34,n/a",
        "images/a1.png,y,Ulm,m,,Fitz",
        "images/a2.png,x,=1+1,F,70,",
        "images/a3.png,y,,unknown,NaN,-",
    ]
    builders.csv_table(folder, rows, "path,label,Centre,Sex,AGE_approx,Fitzpatrick-skin-type")
    table = builders.table("csv", root="t", size=(16, 16), split="fraction", test_fraction=0.25, validation_fraction=0)
    dataset = open_dataset(table, "classification", tmp_path)
    found = traits_of(dataset)
    assert found["a0"] == {"site": "Ulm", "sex": "F", "age": "34"}
    assert found["a1"] == {"site": "Ulm", "sex": "m", "skin type": "Fitz"}
    assert found["a3"] == {}
    run = create(tmp_path, "run")
    dataset = check_dataset(dataset, table)
    write_splits(run, split_rows(dataset.cases))
    assert {row.id: row.traits for row in read_splits(run)} == found  # the formula comes back as it was
    assert "'=1+1" in run.splits.read_text()


def test_a_table_of_patients_beside_the_volumes_is_found_by_image_or_patient(tmp_path):
    folder = builders.nnunet(tmp_path / "n", channels=1)
    (folder / "participants.tsv").write_text("participant_id\tsex\tscanner\nTr0\tF\tAera\nTs1\tM\tSkyra\n")
    (folder / "broken.csv").write_bytes(b"id,sex\n\0\xff")
    (folder / "other.csv").write_text("id,weight\nTr0,80\n")
    dataset = open_dataset(builders.table("nnunet", root="n", size=(8, 8, 8)), "segmentation", tmp_path)
    found = traits_of(dataset)
    assert (found["Tr0"], found["Ts1"]) == ({"sex": "F", "scanner": "Aera"}, {"sex": "M", "scanner": "Skyra"})
    assert found["Tr1"] == {}


def test_what_a_data_set_says_of_itself_is_its_statement(tmp_path):
    folder = builders.decathlon(tmp_path / "d")
    values = {"name": "Small", "modality": {"0": "CT"}, "labels": {"1": "organ"}, "licence": "CC0", "reference": ["no"]}
    builders.write_json(folder, values, [{"image": f"imagesTr/c{n}.nii.gz", "label": f"labelsTr/c{n}.nii.gz"}
                                         for n in range(5)])  # fmt: skip
    table = builders.table("decathlon", root="d", size=(8, 8, 8), split="fraction", test_fraction=0.4)
    dataset = open_dataset(table, "segmentation", tmp_path)
    assert statement(dataset) == {"licence": "CC0"}
    values["name"] = "Hippocampus"
    builders.write_json(folder, values, [{"image": "imagesTr/c0.nii.gz", "label": "labelsTr/c0.nii.gz"}])
    known = statement(open_dataset(builders.table("decathlon", root="d", size=(8, 8, 8)), "segmentation", tmp_path))
    assert known["licence"] == "CC BY-SA 4.0"
    assert "Nature Communications 13" in known["citation"]


def test_the_test_cases_have_a_fingerprint_of_their_own(tmp_path):
    builders.nnunet(tmp_path / "n")
    prints = set()
    for seed in (0, 1):
        table = builders.table("nnunet", root="n", size=(8, 8, 8), split_seed=seed)
        prints.add(fingerprint_of_test(check_dataset(open_dataset(table, "segmentation", tmp_path), table)))
    assert len(prints) == 1
    assert "" not in prints
