//! The Python face of recsys-core: conversion only.
