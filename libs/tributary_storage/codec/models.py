"""A fitted model, or what is missing for one <-> `Model`, the message that is stored, shared and shown."""

from __future__ import annotations

from typing import Final

from tributary.attribution.v1.model_pb2 import ChannelWeight, Model, ModelMethod, ModelStatus
from tributary_domain.data_driven import DataDrivenMethod, DataDrivenModel, Floor, NotEnoughEvidence
from tributary_storage.clickhouse.names import timestamp

_PICOS: Final = 10**12
_METHODS: Final = {
    DataDrivenMethod.MARKOV: ModelMethod.MODEL_METHOD_MARKOV,
    DataDrivenMethod.SHAPLEY: ModelMethod.MODEL_METHOD_SHAPLEY,
}
_DOMAIN_METHODS: Final = {number: method for method, number in _METHODS.items()}


def model_message(
    conversion_name: str,
    fitted: DataDrivenModel | NotEnoughEvidence,
    method: DataDrivenMethod,
    floor: Floor,
    publish_micros: int,
) -> Model:
    """Writes a model down, or that there is none."""
    message = Model(
        conversion_name=conversion_name,
        method=_METHODS[method],
        status=ModelStatus.MODEL_STATUS_NOT_ENOUGH_EVIDENCE,
        paths=fitted.paths,
        conversions=fitted.conversions,
        minimum_paths=floor.paths,
        minimum_conversions=floor.conversions,
        publish_time=timestamp(publish_micros),
    )
    if isinstance(fitted, DataDrivenModel):
        message.version = fitted.version
        message.status = ModelStatus.MODEL_STATUS_PUBLISHED
        message.conversion_probability_picos = round(fitted.conversion_probability * _PICOS)
        message.channels.extend(
            ChannelWeight(channel=channel, weight_picos=weight, removal_effect_picos=round(effect * _PICOS))
            for channel, weight, effect in zip(fitted.channels, fitted.weights, fitted.removal_effects, strict=True)
        )
    elif fitted.paths:
        message.conversion_probability_picos = round(fitted.conversions / fitted.paths * _PICOS)
    return message


def model_of(message: Model) -> DataDrivenModel:
    """Reads a model that was published."""
    return DataDrivenModel(
        method=_DOMAIN_METHODS[message.method],
        channels=tuple(weight.channel for weight in message.channels),
        weights=tuple(weight.weight_picos for weight in message.channels),
        removal_effects=tuple(weight.removal_effect_picos / _PICOS for weight in message.channels),
        paths=message.paths,
        conversions=message.conversions,
        conversion_probability=message.conversion_probability_picos / _PICOS,
        version=message.version,
    )
