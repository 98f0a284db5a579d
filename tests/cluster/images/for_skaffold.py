"""`python -m tests.cluster.images.for_skaffold PART`: what skaffold's custom builder runs.

Builds the target `dev` of a part under the name that skaffold chose, and pushes it where skaffold
says that the cluster pulls from a registry. The protocol: environment variables IMAGE (the full
name) and PUSH_IMAGE (`true`, `false`), https://skaffold.dev/docs/builders/builder-types/custom/.
"""

import os
import sys

from tests.cluster.images.bench import bench, building_alone
from tests.cluster.images.errors import ImageFailed
from tests.cluster.images.parts import PARTS


def build(name: str, image: str, push: bool) -> None:
    """Build the part of that name as `image`. Raises ImageFailed."""
    part = next((part for part in PARTS if part.name == name), None)
    if part is None:
        names = ", ".join(part.name for part in PARTS)
        raise ImageFailed(f"There is no part {name}; there are {names}.")
    with building_alone(), bench() as place:
        place.builder.build(part, "dev", place.secrets, image)
        if push:
            place.builder.push(image)


def main() -> None:
    """Do what skaffold asked for, or say in one sentence why not."""
    if len(sys.argv) != 2 or "IMAGE" not in os.environ:
        sys.exit("skaffold runs this, with a part's name and IMAGE in the environment.")
    try:
        build(sys.argv[1], os.environ["IMAGE"], os.environ.get("PUSH_IMAGE") == "true")
    except ImageFailed as failed:
        sys.exit(str(failed))


if __name__ == "__main__":
    main()
