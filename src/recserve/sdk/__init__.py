"""Deploying from Python, with the names that users of `pai.*` know: change the import line, keep the rest.

    from recserve.sdk.model import Model, container_serving_spec      # was pai.model

    spec = container_serving_spec(command="python app.py", source_dir="./src", image_uri="env://python")
    predictor = Model("./model", spec).deploy(service_name="example", instance_count=2)
    predictor.predict({"x": 1})

| module      | what it has                                                                     |
|-------------|---------------------------------------------------------------------------------|
| model       | Model, RegisteredModel, InferenceSpec, container_serving_spec, ResourceConfig, … |
| predictor   | Predictor, AsyncPredictor, LocalPredictor: a service as its callers know it      |
| serializers | what data becomes on the way to a service, and back                              |
| image       | retrieve, list_images: the runtimes that there are                               |
| session     | which control plane, and where models and code are put                           |
| exception   | what goes wrong                                                                  |
"""
