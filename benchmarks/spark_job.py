"""The whole job in Spark ML, in local mode on all cores: the peer in `benchmarks.whole_job --spark`.

    python benchmarks/spark_job.py TABLE FOLDER

Needs Java and `pip install pyspark numpy`. It imports nothing from this project, so any environment with Spark can run it.
"""

from __future__ import annotations

import argparse
import math

from pyspark.ml import Pipeline
from pyspark.ml.feature import PCA, Imputer, OneHotEncoder, StandardScaler, StringIndexer, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - as users of Spark write it

SIZE, STRIDES, COMPONENTS = 5, (1, 3, 5), 32
SPLITS = ("train", "validation", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description="Features, split, windows and PCA with Spark ML.")
    parser.add_argument("table")
    parser.add_argument("folder")
    arguments = parser.parse_args()
    spark = (
        SparkSession.builder.appName("peer")
        .master("local[*]")
        .config("spark.driver.memory", "8g")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    rows = split_by_time(spark.read.parquet(arguments.table).withColumn("row_number", F.monotonically_increasing_id()))
    rows = rows.select("*", *datetime_columns("time")).withColumn("open", F.col("open").cast("double")).cache()
    model = features(rows).fit(rows.filter("split = 'train'"))
    featured = model.transform(rows).select("row_number", "time", "split", "features").cache()
    featured.withColumn("features", vector_to_array("features", "float32")).write.partitionBy("split").parquet(
        f"{arguments.folder}/features"
    )
    windows = in_windows(featured).cache()
    for stride in STRIDES:
        taken = windows.filter(F.col("place") % stride == 0)
        pca = PCA(k=COMPONENTS, inputCol="window", outputCol="scores").fit(taken.filter("split = 'train'"))
        scores = pca.transform(taken).withColumn("scores", vector_to_array("scores", "float32")).drop("window", "place")
        scores.write.partitionBy("split").parquet(f"{arguments.folder}/windows/stride={stride}")
    spark.stop()


def split_by_time(rows: DataFrame) -> DataFrame:
    first, second = rows.select(F.unix_micros("time").alias("t")).approxQuantile("t", [0.8, 0.9], 0.0)
    time = F.unix_micros("time")
    return rows.withColumn("split", F.when(time <= first, "train").when(time <= second, "validation").otherwise("test"))


def datetime_columns(name: str) -> list[Column]:
    time = F.col(name)
    angles = {
        "hour": F.hour(time) / 23.0,
        "dayofweek": F.weekday(time) / 6.0,
        "day": (F.dayofmonth(time) - 1) / 30.0,
        "month": (F.month(time) - 1) / 11.0,
    }
    return [
        function(2 * math.pi * angle).alias(f"{name}_{function.__name__}_{part}")
        for part, angle in angles.items()
        for function in (F.sin, F.cos)
    ]


def features(rows: DataFrame) -> Pipeline:
    """Impute and scale the numbers, one-hot encode the city (with places for unseen and missing values), keep the rest."""
    kinds = dict(rows.dtypes)
    numbers = [name for name in rows.columns if name.startswith(("signal", "reading", "count"))]
    filled = [f"{name}_filled" for name in numbers]
    cyclical = [name for name in rows.columns if name.startswith(("time_sin", "time_cos"))]
    assert all(kinds[name] in ("double", "float", "int") for name in numbers)
    return Pipeline(
        stages=[
            Imputer(strategy="median", inputCols=numbers, outputCols=filled),
            Imputer(strategy="median", inputCols=["open"], outputCols=["open_filled"]),
            VectorAssembler(inputCols=filled, outputCol="numbers"),
            StandardScaler(withMean=True, inputCol="numbers", outputCol="scaled"),
            StringIndexer(inputCol="city", outputCol="city_index", handleInvalid="keep"),
            OneHotEncoder(inputCol="city_index", outputCol="city_vector", dropLast=False, handleInvalid="keep"),
            VectorAssembler(inputCols=["scaled", "open_filled", *cyclical, "city_vector"], outputCol="features"),
        ]
    )


def in_windows(featured: DataFrame) -> DataFrame:
    """Each window of a split's rows in time order, as one vector."""
    series = Window.partitionBy("split").orderBy("time", "row_number")
    ahead = [F.lead("features", i).over(series).alias(f"row_{i}") for i in range(1, SIZE)]
    last = [F.lead(name, SIZE - 1).over(series).alias(f"last_{name}") for name in ("row_number", "time")]
    place = (F.row_number().over(series) - 1).alias("place")
    placed = featured.select("*", *ahead, *last, place).filter(F.col("last_row_number").isNotNull())
    assembler = VectorAssembler(inputCols=["features", *(f"row_{i}" for i in range(1, SIZE))], outputCol="window")
    return assembler.transform(placed).select("split", "row_number", "time", "last_row_number", "last_time", "place", "window")


if __name__ == "__main__":
    main()
